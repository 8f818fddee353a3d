package projections

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/internal/pg"
)

// applySafely calls an Apply and makes a panic an error: it halts one
// projection, not the server.
func applySafely(ctx context.Context, tx pgx.Tx, apply func(context.Context, pgx.Tx, []follow.Event) error, events []follow.Event) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return apply(ctx, tx, events)
}

// divide has events written. When they fail together it finds out which one is
// to blame: all before it are written.
func divide(events []follow.Event, to eventstore.Position, write func([]follow.Event, eventstore.Position) error) error {
	err := write(events, to)
	var poison *poisonError
	if !errors.As(err, &poison) || len(events) == 1 {
		return err
	}
	half := len(events) / 2
	if err := divide(events[:half], events[half-1].Position, write); err != nil {
		return err
	}
	return divide(events[half:], to, write)
}

// permanent reports whether an error of Apply is the events' fault, so that
// trying again can only fail again. Whatever may be the database's fault (it
// is away, full, read-only, not migrated, has chosen us as a deadlock's
// victim) is not: halting for that would be wrong, and so is skipping.
func permanent(ctx context.Context, tx pgx.Tx, err error) bool {
	if ctx.Err() != nil || tx.Conn().IsClosed() ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	switch pg.Class(err) {
	case "", // the connection is fine and the database did not object: the handler did
		"21", // cardinality violation
		"22", // data exception
		"23", // integrity constraint violation
		"54": // program limit exceeded: a row too large for its index
		return true
	}
	return false
}

// validText is s as PostgreSQL takes it, cut to a length in bytes.
func validText(s string, longest int) string {
	s = strings.ReplaceAll(s, "\x00", "")
	return strings.ToValidUTF8(s[:min(len(s), longest)], "")
}
