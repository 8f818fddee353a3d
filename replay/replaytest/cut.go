package replaytest

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay/verify"
)

var errCut = fmt.Errorf("%w: cut off", eventstore.ErrUnavailable)

// Scissors cut reads off at the n-th thing that is read through all that shares
// them, in one of three ways.
type Scissors struct {
	at      int64
	Way     string
	read    atomic.Int64
	stop    context.CancelFunc // of the reader's context
	kill    func()             // its connections
	applied atomic.Bool
}

// Applied reports whether something was cut off.
func (s *Scissors) Applied() bool { return s.applied.Load() }

// snip counts one thing that is read.
func (s *Scissors) snip() error {
	if s.read.Add(1) != s.at {
		return nil
	}
	s.applied.Store(true)
	switch s.Way {
	case "context":
		s.stop()
	case "connection":
		s.kill()
	default:
		return errCut
	}
	return nil
}

func cutSeq[T any](s *Scissors, items iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for item, err := range items {
			if err == nil {
				err = s.snip()
			}
			if !yield(item, err) || err != nil {
				return
			}
		}
	}
}

// cutBeforeEnd cuts right before the end, too.
func cutBeforeEnd(s *Scissors, events iter.Seq2[eventstore.Event, error]) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		for event, err := range cutSeq(s, events) {
			if !yield(event, err) || err != nil {
				return
			}
		}
		if err := s.snip(); err != nil {
			yield(eventstore.Event{}, err)
		}
	}
}

// CutStore is a store whose reads are cut off.
type CutStore struct {
	eventstore.Store
	*Scissors
}

func (c CutStore) DensePositions() bool { return eventstore.Dense(c.Store) }

func (c CutStore) ReadAll(ctx context.Context, after eventstore.Position, filter eventstore.Filter) iter.Seq2[eventstore.Event, error] {
	return cutBeforeEnd(c.Scissors, c.Store.ReadAll(ctx, after, filter))
}

func (c CutStore) ReadStream(ctx context.Context, stream string, from int64, direction eventstore.Direction) iter.Seq2[eventstore.Event, error] {
	return cutBeforeEnd(c.Scissors, c.Store.ReadStream(ctx, stream, from, direction))
}

func (c CutStore) Head(ctx context.Context) (eventstore.Position, error) {
	if err := c.snip(); err != nil {
		return 0, err
	}
	return c.Store.Head(ctx)
}

func (c CutStore) Subscribe(after eventstore.Position, filter eventstore.Filter) eventstore.Subscription {
	return cutSubscription{c.Store.Subscribe(after, filter), c.Scissors}
}

type cutSubscription struct {
	eventstore.Subscription
	*Scissors
}

func (c cutSubscription) Next(ctx context.Context) (eventstore.Batch, error) {
	if err := c.snip(); err != nil {
		return eventstore.Batch{}, err
	}
	return c.Subscription.Next(ctx)
}

// CutLogs are logs whose reads are cut off.
type CutLogs struct {
	verify.Logs
	*Scissors
}

func (c CutLogs) State(ctx context.Context, log uuid.UUID) (transparency.State, error) {
	if err := c.snip(); err != nil {
		return transparency.State{}, err
	}
	return c.Logs.State(ctx, log)
}

func (c CutLogs) Entries(ctx context.Context, log uuid.UUID, from, to int64) iter.Seq2[eventstore.Hash, error] {
	return cutSeq(c.Scissors, c.Logs.Entries(ctx, log, from, to))
}

func (c CutLogs) Root(ctx context.Context, log uuid.UUID, size int64) (tlog.Hash, error) {
	if err := c.snip(); err != nil {
		return tlog.Hash{}, err
	}
	return c.Logs.Root(ctx, log, size)
}

func (c CutLogs) Checkpoints(ctx context.Context, log uuid.UUID) ([]transparency.Signed, error) {
	if err := c.snip(); err != nil {
		return nil, err
	}
	return c.Logs.Checkpoints(ctx, log)
}

// CutEverywhere has a reader read, once for each place where it can be cut off
// and each way, until a run comes to its end uncut. Places further in are tried
// less densely, by stride.
func CutEverywhere(t *testing.T, ways []string, stride func(at int64) int64, kill func(), read func(ctx context.Context, s *Scissors, place string)) {
	t.Helper()
	for _, way := range ways {
		for at := int64(1); ; at += stride(at) {
			ctx, stop := context.WithCancel(t.Context())
			s := &Scissors{at: at, Way: way, stop: stop, kill: kill}
			read(ctx, s, fmt.Sprintf("cut by %s at %d", way, at))
			stop()
			if t.Failed() {
				return
			}
			if !s.Applied() {
				if at == 1 {
					t.Errorf("nothing was read that could be cut by %s", way)
				}
				break
			}
		}
	}
}

// Each tries every place.
func Each(int64) int64 { return 1 }

// Sparsely tries the first places, those around the ends of pages, and few of
// the others.
func Sparsely(at int64) int64 {
	if at < 10 || at%64 < 3 || at%64 > 61 {
		return 1
	}
	return 17
}

// CutEvents is how many events a short archive has.
const CutEvents = 100

// NewShortArchive is an archive whose ledger has few events.
func NewShortArchive(t *testing.T) *Archive {
	t.Helper()
	a := NewArchive(t)
	a.Exec(t, `TRUNCATE events, transparency_logs, transparency_tiles, checkpoints, checkpoint_cosignatures`)
	err := pgx.BeginFunc(t.Context(), a.Superuser, func(tx pgx.Tx) error {
		if err := insert(t.Context(), tx, a.Events[:CutEvents]); err != nil {
			return err
		}
		for from := 0; from < CutEvents; from += 50 {
			if err := LogAndSign(t.Context(), tx, a.Events[from:from+50], SigningKey); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Kill ends the connections of the pool, as a server that is restarted does.
func (a *Archive) Kill(t *testing.T) func() {
	return func() {
		_, err := a.Superuser.Exec(context.WithoutCancel(t.Context()), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name NOT LIKE 'agentidp ledger%'`)
		if err != nil {
			t.Error(err)
		}
	}
}
