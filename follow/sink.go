package follow

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/eventstore"
)

// Sink is what a follower does with events: [Rows], [Jobs] or [Outside]. It is
// called with 1 to 1,000 events in ledger order, by one process at a time.
type Sink interface {
	kind() string // of follower, in leases and in the log
	take(ctx context.Context, p place, from, to eventstore.Position, events []Event) error
}

// Rows writes what events mean to read models, in the transaction that moves
// the follower's place, as the role agentidp_projector. It has no side effects
// but those in tx, and applying an event again changes nothing. What it cannot
// apply it refuses with an error that is not the database's.
type Rows func(ctx context.Context, tx pgx.Tx, events []Event) error

func (Rows) kind() string { return "projection" }

func (apply Rows) take(ctx context.Context, p place, from, to eventstore.Position, events []Event) error {
	return p.advance(ctx, BeginRows, from, to, func(ctx context.Context, tx pgx.Tx) error {
		return Apply(ctx, tx, "apply to "+p.follower.Name, apply, events)
	})
}

// Jobs puts down what is to be done about events, in the transaction that moves
// the follower's place, as the role agentidp_server: exactly one job for each
// cause. River's InsertManyTx is made for this. It commits to disk, so that no
// job which somebody has begun can come back. Errors are as those of [Rows].
type Jobs func(ctx context.Context, tx pgx.Tx, events []Event) error

func (Jobs) kind() string { return "follower" }

func (enqueue Jobs) take(ctx context.Context, p place, from, to eventstore.Position, events []Event) error {
	return p.advance(ctx, beginBounded+"; "+asProjector, from, to, func(ctx context.Context, tx pgx.Tx) error {
		if len(events) == 0 {
			return nil
		}
		if _, err := tx.Exec(ctx, asServer); err != nil {
			return err
		}
		if err := Apply(ctx, tx, "apply to "+p.follower.Name, enqueue, events); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, asProjector)
		return err
	})
}

// Outside hands events to something that takes part in no transaction of ours,
// and then moves the follower's place. So each event arrives at least once and
// in order; those that were under way when a process died arrive again.
//
// An error is one of the outside's, and the events are tried again until it is
// over. Of an event that can never be taken it returns a [PoisonError].
type Outside func(ctx context.Context, events []Event) error

func (Outside) kind() string { return "follower" }

func (produce Outside) take(ctx context.Context, p place, from, to eventstore.Position, events []Event) error {
	if len(events) > 0 {
		if err := p.isAt(ctx, from); err != nil { // before anybody hears of it from us
			return err
		}
		if err := safely(func() error { return produce(ctx, events) }); err != nil {
			if _, ok := errors.AsType[panicError](err); ok {
				err = &PoisonError{Position: events[0].Position, Cause: err}
			}
			return fmt.Errorf("hand events to %s: %w", p.follower.Name, err)
		}
	}
	return p.advance(ctx, BeginRows, from, to, func(context.Context, pgx.Tx) error { return nil })
}
