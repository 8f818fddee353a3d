package move_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/eventstore/storetest"
	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/internal/rounds"
	"github.com/sentryagent/agentidp/replay/move"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// A ledger that went through all engines is what it was.
func TestACopyIsTheSameToTheByte(t *testing.T) {
	t.Parallel()
	first := newPostgres(t)
	fill(t, first, rounds.Of(1200))
	from := first
	for _, name := range []string{"esdb", "postgres", "memory", "esdb"} {
		to := engines[name](t)
		report, err := (&move.Copier{From: from, To: to}).Copy(t.Context())
		if err != nil {
			t.Fatalf("to %s: %v", name, err)
		}
		if report.Copied != report.Events {
			t.Errorf("to %s: %d of %d events were copied", name, report.Copied, report.Events)
		}
		mustBeCopies(t, first, to, report)
		again, err := (&move.Copier{From: from, To: to}).Copy(t.Context())
		if err != nil || again.Copied != 0 || again.Root != report.Root {
			t.Errorf("to %s once more = %+v, %v, want it proven and nothing copied", name, again, err)
		}
		from = to
	}
}

func TestAnEmptyLedgerIsCopied(t *testing.T) {
	t.Parallel()
	from, to := memory.New(), memory.New()
	report, err := (&move.Copier{From: from, To: to}).Copy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mustBeCopies(t, from, to, report)
}

// Servers write all the time; the copy is killed twice at some moment, follows
// them the third time, and has everything in the end.
func TestACopyFollowsWritersAndSurvivesBeingKilled(t *testing.T) {
	t.Parallel()
	for _, way := range [][2]string{{"postgres", "esdb"}, {"esdb", "postgres"}, {"postgres", "postgres"}, {"memory", "memory"}} {
		t.Run(way[0]+" to "+way[1], func(t *testing.T) {
			t.Parallel()
			from, to := engines[way[0]](t), engines[way[1]](t)
			fill(t, from, 500)
			const writers, appends = 4, 100
			var writing sync.WaitGroup
			for n := range writers {
				writing.Go(func() {
					s := newCopyist("writer-"+string(rune('a'+n)), uint64(n))
					for range appends {
						s.write(t, from)
					}
				})
			}
			for range 2 {
				killed, kill := context.WithCancel(t.Context())
				copier := move.Copier{From: from, To: killing(to, kill), Follow: make(chan struct{})}
				report, err := copier.Copy(killed)
				if err == nil || report.Proven || !errors.Is(err, context.Canceled) {
					t.Errorf("killed, Copy = %+v, %v", report, err)
				}
				kill()
			}
			cutOver := make(chan struct{})
			go func() { writing.Wait(); close(cutOver) }()
			report, err := (&move.Copier{From: from, To: to, Follow: cutOver}).Copy(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			mustBeCopies(t, from, to, report)
		})
	}
}

// dying is a target whose copier is killed at some append: before it, while it
// is under way or after it.
type dying struct {
	eventstore.Store
	left *atomic.Int64
	kill context.CancelFunc
}

// dyingInOrder is one that takes many appends at once.
type dyingInOrder struct{ dying }

func killing(target eventstore.Store, kill context.CancelFunc) eventstore.Store {
	d := dying{target, new(atomic.Int64), kill}
	d.left.Store(1 + rand.Int64N(200))
	if _, ordered := target.(inOrder); ordered {
		d.left.Store(1 + rand.Int64N(2))
		return dyingInOrder{d}
	}
	return d
}

type inOrder interface {
	AppendInOrder(context.Context, []eventstore.StreamAppend) ([]eventstore.Appended, error)
}

func (s dying) strike() {
	if s.left.Add(-1) == 0 {
		time.AfterFunc(time.Duration(rand.IntN(2000))*time.Microsecond, s.kill)
	}
}

func (s dying) Append(ctx context.Context, stream string, expected eventstore.ExpectedRevision, events ...eventstore.Draft) (eventstore.Appended, error) {
	s.strike()
	return s.Store.Append(ctx, stream, expected, events...)
}

func (s dyingInOrder) AppendInOrder(ctx context.Context, appends []eventstore.StreamAppend) ([]eventstore.Appended, error) {
	s.strike()
	engine, _ := s.Store.(inOrder)
	return engine.AppendInOrder(ctx, appends)
}

// An answer that is lost after its events were stored is asked for again.
func TestACopySurvivesLostAnswers(t *testing.T) {
	t.Parallel()
	from := memory.New()
	fill(t, from, 600)
	to, cluster := newESDB(t)
	cluster.LoseAnswers(20)
	report, err := (&move.Copier{From: from, To: to}).Copy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mustBeCopies(t, from, to, report)
}

// late is a target in which part of an append of a killed copy comes to light
// only when the next copy has compared the ledgers.
type late struct {
	eventstore.Store
	arrive func()
}

func (s late) Append(ctx context.Context, stream string, expected eventstore.ExpectedRevision, events ...eventstore.Draft) (eventstore.Appended, error) {
	s.arrive()
	return s.Store.Append(ctx, stream, expected, events...)
}

func TestAnAppendOfAKilledCopyMayComeThroughLate(t *testing.T) {
	t.Parallel()
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := memory.New(), open(t)
			events := make([]eventstore.Draft, 5)
			for i := range events {
				events[i] = storetest.NewDraft("a.x")
			}
			if _, err := from.Append(t.Context(), "a", eventstore.NoStream(), events...); err != nil {
				t.Fatal(err)
			}
			fill(t, from, 20)
			var once sync.Once
			report, err := (&move.Copier{From: from, To: late{to, func() {
				once.Do(func() {
					if _, err := to.Append(t.Context(), "a", eventstore.NoStream(), events[:3]...); err != nil {
						t.Error(err)
					}
				})
			}}}).Copy(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			mustBeCopies(t, from, to, report)
		})
	}
}
