package chaos_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/test/chaos"
)

// Attempts under one key are held against each other and the ledger, where the
// first of them has added a member.
func TestRepeatsAreHeldAgainstWhatWasMade(t *testing.T) {
	t.Parallel()
	it, other := uuid.NewString(), uuid.NewString()
	told := func(named, body string) chaos.Attempt {
		return chaos.Attempt{Result: chaos.Acknowledged, Named: named, Body: body}
	}
	replayed := func(named, body string) chaos.Attempt {
		a := told(named, body)
		a.Replayed = true
		return a
	}
	lost, refused := chaos.Attempt{Result: chaos.Unknown}, chaos.Attempt{Result: chaos.Refused}
	for name, c := range map[string]struct {
		attempts []chaos.Attempt
		ended    bool // what the repeat needs, meanwhile
		want     chaos.Rule
	}{
		"told once":                         {[]chaos.Attempt{told(it, "a")}, false, ""},
		"told again":                        {[]chaos.Attempt{told(it, "a"), replayed(it, "a")}, false, ""},
		"told anew, and that again":         {[]chaos.Attempt{told(it, "a"), told(it, "b"), replayed(it, "b")}, false, ""},
		"lost, then told":                   {[]chaos.Attempt{lost, told(it, "a")}, false, ""},
		"lost, then told again":             {[]chaos.Attempt{lost, replayed(it, "a")}, false, ""},
		"told, then lost":                   {[]chaos.Attempt{told(it, "a"), lost}, false, ""},
		"told of what is not there":         {[]chaos.Attempt{told(other, "a")}, false, chaos.RuleRepeated},
		"lost, then told of another":        {[]chaos.Attempt{lost, told(other, "a")}, false, chaos.RuleRepeated},
		"told, then told of another":        {[]chaos.Attempt{told(it, "a"), told(other, "a")}, false, chaos.RuleRepeated},
		"told another answer again":         {[]chaos.Attempt{told(it, "a"), replayed(it, "b")}, false, chaos.RuleRepeated},
		"told again what had been replaced": {[]chaos.Attempt{told(it, "a"), told(it, "b"), replayed(it, "a")}, false, chaos.RuleRepeated},
		"told again what it has made":       {[]chaos.Attempt{replayed(it, "a")}, false, chaos.RuleRepeated},
		"lost, then refused":                {[]chaos.Attempt{lost, refused}, false, chaos.RuleRepeated},
		"told, then refused":                {[]chaos.Attempt{told(it, "a"), refused}, false, chaos.RuleRepeated},
		"refused since what it needs ended": {[]chaos.Attempt{lost, refused}, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := sound(t)
			b.writeAs("one", domain.OrganizationStream(b.organization), b.joined(domain.AgentID{UUID: uuid.MustParse(it)}))
			h, _ := b.replay()
			r := chaos.NewRecording()
			o := chaos.Operation{Kind: "add member", Makes: "organization.member_added", Most: 1, Keyed: true, RestsOn: []string{"organization"}, Begin: r.Now()}
			for i, a := range c.attempts {
				a.Request = [...]string{"one", "two", "three"}[i]
				o.Attempts = append(o.Attempts, a)
				if o.Result != chaos.Acknowledged {
					o.Result = a.Result
				}
			}
			if c.ended {
				r.Ends("organization")
			}
			r.Operated(o)
			mustFind(t, r.CheckAcknowledged(h), c.want)
		})
	}
}

// Without a key a repeat may well be refused what was done.
func TestOnlyRepeatsUnderAKeyAreToldTheSame(t *testing.T) {
	t.Parallel()
	b := sound(t)
	b.writeAs("one", domain.AgentStream(b.borrower), domain.AgentDecommissioned{AgentID: b.borrower})
	h, _ := b.replay()
	r := chaos.NewRecording()
	r.Operated(chaos.Operation{
		Kind: "decommission", Makes: "agent.decommissioned", Most: 1, Result: chaos.Refused,
		Attempts: []chaos.Attempt{{Request: "one", Result: chaos.Unknown}, {Request: "two", Result: chaos.Refused}},
	})
	mustFind(t, r.CheckAcknowledged(h), "")
}
