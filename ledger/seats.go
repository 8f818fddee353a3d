package ledger

import (
	"context"
	"errors"

	"github.com/sentryagent/agentidp/domain"
)

// takeSeat counts an agent towards its organization's cap. When the
// organization is full, seats that crashes left behind are given back first.
func (l *Ledger) takeSeat(ctx context.Context, origin Origin, organization domain.OrganizationID, agent domain.AgentID, limit int) error {
	command := domain.TakeSeat{OrganizationID: organization, AgentID: agent, Cap: limit}
	err := l.onSeats(ctx, origin, organization, command)
	if !errors.Is(err, &domain.Error{Code: domain.CodeAgentCap}) {
		return err
	}
	released, sweepErr := l.sweepSeats(ctx, organization)
	if sweepErr != nil {
		return sweepErr
	}
	if !released {
		return err
	}
	return l.onSeats(ctx, origin, organization, command)
}

// mayTakeSeat refuses what [Ledger.takeSeat] is sure to refuse. It is not while
// somebody sits who has not come to life: that seat may be given back yet.
func (l *Ledger) mayTakeSeat(ctx context.Context, organization domain.OrganizationID, agent domain.AgentID, limit int) error {
	seats, err := l.seats.read(ctx, domain.SeatsStream(organization))
	if err != nil {
		return err
	}
	_, err = seats.state.Decide(domain.TakeSeat{OrganizationID: organization, AgentID: agent, Cap: limit})
	if !errors.Is(err, &domain.Error{Code: domain.CodeAgentCap}) {
		return err
	}
	for id := range seats.state.Taken {
		if seated, err := l.Agent(ctx, id); err != nil || !seated.Exists() || seated.Status == domain.AgentIsGone {
			return err
		}
	}
	return err
}

// SeatsTaken counts the agents of an organization that count towards its cap.
func (l *Ledger) SeatsTaken(ctx context.Context, organization domain.OrganizationID) (int, error) {
	seats, err := l.seats.read(ctx, domain.SeatsStream(organization))
	return len(seats.state.Taken), err
}

func (l *Ledger) releaseSeat(ctx context.Context, origin Origin, organization domain.OrganizationID, agent domain.AgentID) error {
	return l.onSeats(ctx, origin, organization, domain.ReleaseSeat{OrganizationID: organization, AgentID: agent})
}

func (l *Ledger) onSeats(ctx context.Context, origin Origin, organization domain.OrganizationID, command domain.SeatsCommand) error {
	_, err := l.seats.execute(ctx, domain.SeatsStream(organization), origin,
		func(domain.Seats) domain.OrganizationID { return organization },
		func(s domain.Seats) ([]domain.Event, error) { return s.Decide(command) })
	return err
}

// sweepSeats gives back the seats of agents that were decommissioned or never
// came to life, and reports whether there were any.
func (l *Ledger) sweepSeats(ctx context.Context, organization domain.OrganizationID) (released bool, err error) {
	seats, err := l.seats.read(ctx, domain.SeatsStream(organization))
	if err != nil {
		return false, err
	}
	for id, since := range seats.state.Taken {
		agent, err := l.Agent(ctx, id)
		if err != nil {
			return released, err
		}
		if agent.Exists() && agent.Status != domain.AgentIsGone {
			continue
		}
		if !agent.Exists() && !agent.Abandoned() {
			if l.now().Sub(since) < l.grace {
				continue
			}
			if err := l.abandonRegistration(ctx, organization, id); err != nil {
				if _, ok := errors.AsType[*domain.Error](err); ok {
					continue
				}
				return released, err
			}
		}
		if err := l.releaseSeat(ctx, System(), organization, id); err != nil {
			return released, err
		}
		released = true
	}
	return released, nil
}

// abandonRegistration makes sure that an agent that is not there never will be.
func (l *Ledger) abandonRegistration(ctx context.Context, organization domain.OrganizationID, id domain.AgentID) error {
	_, err := l.agents.execute(ctx, domain.AgentStream(id), System(),
		func(domain.Agent) domain.OrganizationID { return organization },
		func(a domain.Agent) ([]domain.Event, error) { return a.Decide(domain.AbandonRegistration{AgentID: id}) })
	return err
}
