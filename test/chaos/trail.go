package chaos

import (
	"fmt"
	"slices"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// Trail is the audit trail of an agent as a client was shown it.
type Trail struct {
	Stream  string // the agent's
	Request string
	Begin   Moment
	Listed  []eventstore.Position // newest first
	Whole   bool                  // nothing older was left out
}

// Followed notes a trail.
func (r *Recording) Followed(t Trail) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trails = append(r.trails, t)
}

// checkTrails holds trails against the ledger: each has every event on its
// agent's stream from the oldest listed to the newest, and all that led to
// answers before the trail was asked for. The caller holds mu.
func (r *Recording) checkTrails(h *History) []Violation {
	changes := map[string][]*Operation{}
	for i := range r.operations {
		if o := &r.operations[i]; o.Result == Acknowledged && o.Stream != "" {
			changes[o.Stream] = append(changes[o.Stream], o)
		}
	}
	var violations []Violation
	for _, t := range r.trails {
		known := eventstore.Position(0) // the newest event that must be listed
		for _, o := range changes[t.Stream] {
			if o.noted < t.Begin {
				known = max(known, h.newest(o))
			}
		}
		if missing := h.missing(t, known); missing != nil {
			violations = append(violations, Violation{
				Rule: RuleTrail, Position: missing.position, Detail: fmt.Sprintf("%s of %s lacks %s", t.Request, t.Stream, missing.eventType),
			})
		}
	}
	return violations
}

// newest is where the last event is that an operation has led to; 0 for none.
func (h *History) newest(o *Operation) (last eventstore.Position) {
	for _, m := range h.madeBy(o) {
		last = max(last, m.position)
	}
	return last
}

// missing is an event that a trail should have: an audited one of its stream,
// not older than what is listed, and not newer than what is listed or known.
func (h *History) missing(t Trail, known eventstore.Position) *made {
	var oldest eventstore.Position
	if len(t.Listed) > 0 {
		known = max(known, slices.Max(t.Listed))
		if !t.Whole {
			oldest = slices.Min(t.Listed)
		}
	}
	for i, m := range h.streams[t.Stream] {
		if m.position < oldest || m.position > known {
			continue
		}
		if m.eventType == (domain.RegistrationAbandoned{}).EventType() || m.eventType == (domain.AdminConfirmed{}).EventType() {
			continue
		}
		if !slices.Contains(t.Listed, m.position) {
			return &h.streams[t.Stream][i]
		}
	}
	return nil
}
