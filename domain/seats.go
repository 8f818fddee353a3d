package domain

import (
	"maps"
	"time"
)

// Seats is the aggregate of one seats-<organization> stream: which agents
// count towards the organization's cap. It is a stream of its own so that the
// cap holds under concurrency without a lock.
type Seats struct {
	Taken  map[AgentID]time.Time // since when
	Closed bool                  // the organization is being or was deleted
}

// SeatTaken is stored as "seat.taken", schema 1. It comes before the agent's
// own first event.
type SeatTaken struct {
	OrganizationID OrganizationID `json:"organizationId"`
	AgentID        AgentID        `json:"agentId"`
}

// SeatReleased is stored as "seat.released", schema 1.
type SeatReleased struct {
	OrganizationID OrganizationID `json:"organizationId"`
	AgentID        AgentID        `json:"agentId"`
}

// SeatsClosed is stored as "seats.closed", schema 1: nobody can sit down any more.
type SeatsClosed struct {
	OrganizationID OrganizationID `json:"organizationId"`
}

func (SeatTaken) EventType() Type    { return "seat.taken" }
func (SeatReleased) EventType() Type { return "seat.released" }
func (SeatsClosed) EventType() Type  { return "seats.closed" }

// SeatsCommand is a command to the seats of one organization.
type SeatsCommand interface {
	decide(Seats) ([]Event, error)
}

// Decide says what the command leads to, or refuses with an [*Error].
func (s Seats) Decide(cmd SeatsCommand) ([]Event, error) { return cmd.decide(s) }

// Evolve applies an event of the stream, recorded at the given time.
func (s Seats) Evolve(e Event, at time.Time) Seats {
	switch e := e.(type) {
	case SeatTaken:
		s.Taken = maps.Clone(s.Taken)
		if s.Taken == nil {
			s.Taken = map[AgentID]time.Time{}
		}
		s.Taken[e.AgentID] = at
	case SeatReleased:
		s.Taken = maps.Clone(s.Taken)
		delete(s.Taken, e.AgentID)
	case SeatsClosed:
		s.Closed = true
	}
	return s
}

// TakeSeat takes a seat for an agent that is about to be registered. Taking
// the one it has already changes nothing.
type TakeSeat struct {
	OrganizationID OrganizationID
	AgentID        AgentID
	Cap            int // [Unlimited], or how many seats there are
}

func (c TakeSeat) decide(s Seats) ([]Event, error) {
	if s.Closed {
		return nil, Refuse(CodeOrganizationNotFound, "the organization is deleted")
	}
	if _, seated := s.Taken[c.AgentID]; seated {
		return nil, nil
	}
	if c.Cap != Unlimited && len(s.Taken) >= c.Cap {
		return nil, Refuse(CodeAgentCap, "the organization has as many active agents as its tier allows").
			With("limit", c.Cap).With("current", len(s.Taken))
	}
	return []Event{SeatTaken{OrganizationID: c.OrganizationID, AgentID: c.AgentID}}, nil
}

// ReleaseSeat gives an agent's seat back, if it has one.
type ReleaseSeat struct {
	OrganizationID OrganizationID
	AgentID        AgentID
}

func (c ReleaseSeat) decide(s Seats) ([]Event, error) {
	if _, seated := s.Taken[c.AgentID]; !seated {
		return nil, nil
	}
	return []Event{SeatReleased(c)}, nil
}

// CloseSeats ends the taking of seats; refused while somebody sits.
type CloseSeats struct{ OrganizationID OrganizationID }

func (c CloseSeats) decide(s Seats) ([]Event, error) {
	if len(s.Taken) > 0 {
		return nil, Refuse(CodeHasActiveAgents, "the organization has agents that are not decommissioned").
			With("agents", len(s.Taken))
	}
	if s.Closed {
		return nil, nil
	}
	return []Event{SeatsClosed(c)}, nil
}
