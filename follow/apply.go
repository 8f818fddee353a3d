package follow

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/pg"
)

// Apply calls a function that writes what events mean. The error is a
// [PoisonError], of the first of them, when the fault is in the events; else it
// says what was being done.
func Apply(ctx context.Context, tx pgx.Tx, doing string, apply func(context.Context, pgx.Tx, []Event) error, events []Event) error {
	if len(events) == 0 {
		return nil
	}
	err := safely(func() error { return apply(ctx, tx, events) })
	switch {
	case err == nil:
		return nil
	case permanent(ctx, tx, err):
		return &PoisonError{Position: events[0].Position, Cause: err}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// panicError is what has become of a panic: it halts one follower, not the server.
type panicError struct {
	value any
	stack []byte
}

func (e panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

// safely makes a panic an error.
func safely(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = panicError{r, debug.Stack()}
		}
	}()
	return do()
}

// Divide has events written, up to a position. When they fail together it finds
// out which one is to blame: all before it are written.
func Divide(events []Event, to eventstore.Position, write func([]Event, eventstore.Position) error) error {
	err := write(events, to)
	var poison *PoisonError
	if !errors.As(err, &poison) || len(events) == 1 {
		return err
	}
	half := len(events) / 2
	if err := Divide(events[:half], events[half-1].Position, write); err != nil {
		return err
	}
	return Divide(events[half:], to, write)
}

// permanent reports whether an error is the events' fault, so that trying again
// can only fail again. Whatever may be the database's fault (it is away, full,
// read-only, not migrated, has chosen us as a deadlock's victim) is not: halting
// for that would be wrong, and so is skipping.
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
