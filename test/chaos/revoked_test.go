package chaos_test

import (
	"testing"

	"github.com/sentryagent/agentidp/test/chaos"
)

// use is of a token that rests on itself and an agent.
func use(r *chaos.Recording, since chaos.Moment, result chaos.Result) {
	usedWith(r, result, tokenOf(since, since))
}

// tokenOf is the need of a token: asked for at one moment, there at another.
func tokenOf(asked, since chaos.Moment) chaos.Need {
	return chaos.Need{RestsOn: []string{"token", "agent"}, Asked: asked, Since: since}
}

func usedWith(r *chaos.Recording, result chaos.Result, needs ...chaos.Need) {
	begin := r.Now()
	r.Used(chaos.Use{Kind: "use", Needs: needs, Begin: begin, End: r.Now(), Result: result})
}

// cut ends what an agent has, and not what it gets.
func cut(r *chaos.Recording) {
	e := r.Ends("agent")
	r.Revives("agent")
	r.Ended(e, true)
	r.Revived("agent", true, true)
}

// What happened before what is told by the answers that clients had.
func TestWhatWasEndedIsHeldAgainstItsUses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		happened func(*chaos.Recording)
		want     chaos.Rule
	}{
		"a use of what was never ended": {func(r *chaos.Recording) { use(r, r.Now(), chaos.Acknowledged) }, ""},
		"a use of what was ended": {func(r *chaos.Recording) {
			since := r.Now()
			r.Ended(r.Ends("token"), true)
			use(r, since, chaos.Acknowledged)
		}, chaos.RuleRevoked},
		"a use while it is being ended": {func(r *chaos.Recording) {
			since := r.Now()
			r.Ends("token")
			use(r, since, chaos.Acknowledged)
			use(r, since, chaos.Refused)
		}, ""},
		"an old token after a revival": {func(r *chaos.Recording) {
			since := r.Now()
			r.Ended(r.Ends("agent"), true)
			r.Revives("agent")
			r.Revived("agent", true, true)
			use(r, since, chaos.Acknowledged)
		}, chaos.RuleRevoked},
		"a new token after a revival": {func(r *chaos.Recording) {
			r.Ended(r.Ends("agent"), true)
			r.Revives("agent")
			r.Revived("agent", true, true)
			use(r, r.Now(), chaos.Acknowledged)
		}, ""},
		"a token got while its agent was suspended": {func(r *chaos.Recording) {
			r.Ended(r.Ends("agent"), true)
			use(r, chaos.Never, chaos.Acknowledged)
		}, chaos.RuleRevoked},
		"a token got when a revival may have come late": {func(r *chaos.Recording) {
			r.Revives("agent")
			r.Revived("agent", false, false)
			r.Ended(r.Ends("agent"), true)
			use(r, chaos.Never, chaos.Acknowledged)
		}, ""},
		"a refusal without a reason": {func(r *chaos.Recording) {
			r.Ends("something else")
			use(r, r.Now(), chaos.Refused)
		}, chaos.RuleInVain},
		"a refusal of what was revived": {func(r *chaos.Recording) {
			r.Ended(r.Ends("agent"), true)
			r.Revives("agent")
			r.Revived("agent", true, true)
			use(r, r.Now(), chaos.Refused)
		}, chaos.RuleInVain},
		"a refusal when an ending may have come late": {func(r *chaos.Recording) {
			r.Ended(r.Ends("agent"), false)
			r.Revives("agent")
			r.Revived("agent", true, true)
			use(r, r.Now(), chaos.Refused)
		}, ""},
		"an old token after its scopes were cut": {func(r *chaos.Recording) {
			since := r.Now()
			cut(r)
			use(r, since, chaos.Acknowledged)
		}, chaos.RuleRevoked},
		"a new token after its scopes were cut": {func(r *chaos.Recording) {
			cut(r)
			use(r, r.Now(), chaos.Acknowledged)
		}, ""},
		"a refusal of a token from after its scopes were cut": {func(r *chaos.Recording) {
			cut(r)
			use(r, r.Now(), chaos.Refused)
		}, chaos.RuleInVain},
		"a token that was asked for before its scopes were cut and there after that": {func(r *chaos.Recording) {
			asked := r.Now()
			cut(r)
			token := tokenOf(asked, r.Now())
			usedWith(r, chaos.Acknowledged, token)
			usedWith(r, chaos.Refused, token)
		}, ""},
		"a use after an ending for good that a revival may have come before": {func(r *chaos.Recording) {
			r.Revives("agent")
			r.Revived("agent", false, false)
			r.Ended(r.EndsForGood("agent"), true)
			usedWith(r, chaos.Acknowledged, chaos.Lasting("agent"))
		}, chaos.RuleRevoked},
		"a use of what was ended for good and is said to be revived": {func(r *chaos.Recording) {
			r.Ended(r.EndsForGood("agent"), true)
			r.Revives("agent")
			r.Revived("agent", true, true)
			usedWith(r, chaos.Acknowledged, chaos.Lasting("agent"))
		}, chaos.RuleRevoked},
		"a use of what lasts and was revived": {func(r *chaos.Recording) {
			r.Ended(r.Ends("agent"), true)
			r.Revives("agent")
			r.Revived("agent", true, true)
			usedWith(r, chaos.Acknowledged, chaos.Lasting("agent"))
		}, ""},
		"a use of two things of which one was ended": {func(r *chaos.Recording) {
			since := r.Now()
			r.Ended(r.Ends("link above"), true)
			usedWith(r, chaos.Acknowledged, tokenOf(since, since), chaos.Lasting("link", "link above"))
		}, chaos.RuleRevoked},
		"a refusal of two things of which one was ended": {func(r *chaos.Recording) {
			since := r.Now()
			r.Ended(r.Ends("link above"), true)
			usedWith(r, chaos.Refused, tokenOf(since, since), chaos.Lasting("link", "link above"))
		}, ""},
		"a refusal of a token and of what was ended and revived since that was got": {func(r *chaos.Recording) {
			since := r.Now()
			r.Ended(r.Ends("lender"), true)
			r.Revives("lender")
			r.Revived("lender", true, true)
			usedWith(r, chaos.Refused, tokenOf(since, since), chaos.Lasting("lender"))
		}, chaos.RuleInVain},
		"no answer": {func(r *chaos.Recording) {
			since := r.Now()
			r.Ended(r.Ends("token"), true)
			use(r, since, chaos.Unknown)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := chaos.NewRecording()
			c.happened(r)
			mustFind(t, r.CheckRevoked(), c.want)
		})
	}
}
