package chaos_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/test/chaos"
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

// A delegation that its own request took back was refused; one that somebody
// else ended later was not.
func TestWhatARequestTakesBackIsNotThere(t *testing.T) {
	t.Parallel()
	for revokedBy, want := range map[string]chaos.Rule{"one": "", "another": chaos.RuleRefused} {
		b := sound(t)
		b.below.UUID = uuid.New()
		b.writeAs("one", domain.DelegationStream(b.below), b.lentOn())
		b.writeAs(revokedBy, domain.DelegationStream(b.below), domain.DelegationRevoked{
			DelegationID: b.below, DelegatorID: b.borrower, RevokedBy: b.borrower,
		})
		h, _ := b.replay()
		r := chaos.NewRecording()
		r.Operated(chaos.Operation{
			Kind: "delegate", Attempts: []chaos.Attempt{{Request: "one", Result: chaos.Refused}}, Result: chaos.Refused,
			Makes: "delegation.created", Least: 1, Most: 1,
		})
		mustFind(t, r.CheckAcknowledged(h), want)
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

func TestARecordingKeepsWhatWasSeen(t *testing.T) {
	t.Parallel()
	r := chaos.NewRecording()
	r.Saw(chaos.Checkpoint{Log: uuid.New(), Seen: "a"})
	r.Mistake(chaos.Violation{Rule: chaos.RuleAnswer, Detail: "500"})
	if len(r.Checkpoints()) != 1 || len(r.Mistakes()) != 1 {
		t.Errorf("%d checkpoints and %d mistakes, want one of each", len(r.Checkpoints()), len(r.Mistakes()))
	}
}
