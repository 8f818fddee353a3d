package chaos_test

import (
	"slices"
	"testing"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/test/chaos"
)

// A trail that was shown is held against the ledger and against what had been
// answered by then.
func TestTrailsAreHeldAgainstTheLedger(t *testing.T) {
	t.Parallel()
	first := func(p []eventstore.Position) []eventstore.Position { return p }
	for name, c := range map[string]struct {
		listed func(all []eventstore.Position) []eventstore.Position // of the agent's events, newest first
		before bool                                                  // the trail was asked for before the last was answered
		part   bool                                                  // older events were left out
		want   chaos.Rule
	}{
		"all of it":                    {first, false, false, ""},
		"none of it":                   {func([]eventstore.Position) []eventstore.Position { return nil }, false, false, chaos.RuleTrail},
		"without what was answered":    {func(p []eventstore.Position) []eventstore.Position { return p[1:] }, false, false, chaos.RuleTrail},
		"without what was not yet":     {func(p []eventstore.Position) []eventstore.Position { return p[1:] }, true, false, ""},
		"with a gap":                   {func(p []eventstore.Position) []eventstore.Position { return slices.Delete(p, 1, 2) }, false, false, chaos.RuleTrail},
		"with a gap before the answer": {func(p []eventstore.Position) []eventstore.Position { return slices.Delete(p, 1, 2) }, true, false, chaos.RuleTrail},
		"without the oldest":           {func(p []eventstore.Position) []eventstore.Position { return p[:len(p)-1] }, false, false, chaos.RuleTrail},
		"a page without the oldest":    {func(p []eventstore.Position) []eventstore.Position { return p[:len(p)-1] }, false, true, ""},
		"a page with a gap":            {func(p []eventstore.Position) []eventstore.Position { return slices.Delete(p, 1, 2) }, false, true, chaos.RuleTrail},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := sound(t)
			stream := domain.AgentStream(b.lender)
			b.writeAs("one", stream, domain.AgentSuspended{AgentID: b.lender})
			h, _ := b.replay()
			var all []eventstore.Position
			for _, e := range slices.Backward(b.events) {
				if e.Stream == stream {
					all = append(all, e.Position)
				}
			}
			r := chaos.NewRecording()
			asked := r.Now()
			r.Operated(chaos.Operation{
				Kind: "suspend", Makes: "agent.suspended", Stream: stream, Least: 1, Most: 1,
				Attempts: []chaos.Attempt{{Request: "one", Result: chaos.Acknowledged}}, Result: chaos.Acknowledged,
			})
			if !c.before {
				asked = r.Now()
			}
			r.Followed(chaos.Trail{Stream: stream, Request: "two", Begin: asked, Listed: c.listed(all), Whole: !c.part})
			mustFind(t, r.CheckAcknowledged(h), c.want)
		})
	}
}

// How registrations are given up is nobody's action, and in no trail.
func TestATrailNeedNotHaveWhatIsNotAudited(t *testing.T) {
	t.Parallel()
	b := sound(t)
	b.agent(domain.RegistrationAbandoned{AgentID: b.lender})
	h, _ := b.replay()
	r := chaos.NewRecording()
	t1 := chaos.Trail{Stream: domain.AgentStream(b.lender), Whole: true, Begin: r.Now()}
	for _, e := range b.events[:len(b.events)-1] {
		if e.Stream == t1.Stream {
			t1.Listed = append(t1.Listed, e.Position)
		}
	}
	t1.Listed = append(t1.Listed, b.events[len(b.events)-1].Position+1) // newer than that
	r.Followed(t1)
	mustFind(t, r.CheckAcknowledged(h), "")
}
