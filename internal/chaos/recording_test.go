package chaos_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/chaos"
)

// Commands that were answered are held against the ledger by their requests.
func TestWhatWasAcknowledgedIsHeldAgainstTheLedger(t *testing.T) {
	t.Parallel()
	suspended := func(request string) func(*book) {
		return func(b *book) {
			b.writeAs(request, domain.AgentStream(b.lender), domain.AgentSuspended{AgentID: b.lender})
		}
	}
	twice := func(b *book) {
		suspended("one")(b)
		b.agent(domain.AgentReactivated{AgentID: b.lender})
		suspended("two")(b)
	}
	one := []chaos.Attempt{{Request: "one", Result: chaos.Acknowledged}}
	lostFirst := []chaos.Attempt{{Request: "one", Result: chaos.Unknown}, {Request: "two", Result: chaos.Acknowledged}}
	refusedLater := []chaos.Attempt{{Request: "one", Result: chaos.Unknown}, {Request: "two", Result: chaos.Refused}}
	for name, c := range map[string]struct {
		ledger   func(*book)
		attempts []chaos.Attempt
		result   chaos.Result
		stream   string
		want     chaos.Rule
	}{
		"there once":                         {suspended("one"), one, chaos.Acknowledged, "", ""},
		"there by the attempt that was lost": {suspended("one"), lostFirst, chaos.Acknowledged, "", ""},
		"lost":                               {func(*book) {}, one, chaos.Acknowledged, "", chaos.RuleAcknowledged},
		"there twice":                        {twice, lostFirst, chaos.Acknowledged, "", chaos.RuleAcknowledged},
		"elsewhere":                          {suspended("one"), one, chaos.Acknowledged, "agent-x", chaos.RuleAcknowledged},
		"refused and there":                  {suspended("one"), one, chaos.Refused, "", chaos.RuleRefused},
		"refused after it was done":          {suspended("one"), refusedLater, chaos.Refused, "", ""},
		"unknown and there":                  {suspended("one"), one, chaos.Unknown, "", ""},
		"unknown and not there":              {func(*book) {}, one, chaos.Unknown, "", ""},
		"unknown and there twice":            {twice, lostFirst, chaos.Unknown, "", chaos.RuleUnanswered},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := sound(t)
			c.ledger(b)
			h, _ := b.replay()
			r := chaos.NewRecording()
			r.Operated(chaos.Operation{Kind: "suspend", Attempts: c.attempts, Result: c.result, Makes: "agent.suspended", Stream: c.stream, Least: 1, Most: 1})
			mustFind(t, r.CheckAcknowledged(h), c.want)
		})
	}
}

func mustFind(tb testing.TB, found []chaos.Violation, want chaos.Rule) {
	tb.Helper()
	switch {
	case want == "" && len(found) > 0:
		tb.Errorf("found:\n%s", chaos.Shortest(found))
	case want != "" && (len(found) != 1 || found[0].Rule != want):
		tb.Errorf("want one violation of %q, found:\n%s", want, chaos.Shortest(found))
	}
}

// What happened before what is told by the answers that clients had.
func TestWhatWasEndedIsHeldAgainstItsUses(t *testing.T) {
	t.Parallel()
	// A use of a token that rests on an agent, from its issuance on.
	use := func(r *chaos.Recording, since chaos.Moment, result chaos.Result) {
		begin := r.Now()
		need := chaos.Need{RestsOn: []string{"token", "agent"}, Asked: since, Since: since}
		r.Used(chaos.Use{Kind: "use", Needs: []chaos.Need{need}, Begin: begin, End: r.Now(), Result: result})
	}
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

func TestARecordingKeepsWhatWasSeen(t *testing.T) {
	t.Parallel()
	r := chaos.NewRecording()
	r.Saw(chaos.Checkpoint{Log: uuid.New(), Seen: "a"})
	r.Mistake(chaos.Violation{Rule: chaos.RuleAnswer, Detail: "500"})
	if len(r.Checkpoints()) != 1 || len(r.Mistakes()) != 1 {
		t.Errorf("%d checkpoints and %d mistakes, want one of each", len(r.Checkpoints()), len(r.Mistakes()))
	}
}
