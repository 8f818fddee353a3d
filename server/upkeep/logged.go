package upkeep

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/wait"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// Logged makes sure that a log has every event of the ledger that it should have:
// what is signed or exported of it else lacks the newest ones without a word. A
// server that runs is given time to add them. For an organization it is also an
// error that there is no such organization.
func (l *Ledger) Logged(ctx context.Context, log uuid.UUID) error {
	const patience, pause = 5 * time.Second, 50 * time.Millisecond
	if err := l.Knows(ctx, log); err != nil {
		return err
	}
	newest, err := l.Store.Newest(ctx, 1, eventstore.Filter{Organization: log})
	if err != nil || len(newest) == 0 {
		return err
	}
	head := newest[0].Position
	for deadline := time.Now().Add(patience); ; {
		state, err := l.Logs().State(ctx, log)
		if err != nil || state.Position >= head {
			return err
		}
		if time.Now().After(deadline) {
			return l.lacking(ctx, log, state.Position)
		}
		if err := wait.For(ctx, pause); err != nil {
			return err
		}
	}
}

// lacking says how many events the log does not have.
func (l *Ledger) lacking(ctx context.Context, log uuid.UUID, after eventstore.Position) error {
	count := 0
	for _, err := range l.Store.ReadAll(ctx, after, eventstore.Filter{Organization: log}) {
		if err != nil {
			return err
		}
		count++
	}
	events := "events are"
	if count == 1 {
		events = "event is"
	}
	return fmt.Errorf("%d %s not in the log yet: start a server, which adds what is missing, and run this again", count, events)
}

// Knows makes sure that the ledger has the organization that a log is of.
func (l *Ledger) Knows(ctx context.Context, id uuid.UUID) error {
	if id == transparency.Whole {
		return nil
	}
	for _, err := range l.Store.ReadStream(ctx, domain.OrganizationStream(domain.OrganizationID{UUID: id}), 0, eventstore.Forwards) {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return fmt.Errorf("there is no organization %s", id)
}
