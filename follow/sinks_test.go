package follow_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// One event that cannot be taken stops its follower, whatever that does with
// events, and no other.
func TestPoisonStopsOneFollower(t *testing.T) {
	t.Parallel()
	cannot := func(events []follow.Event) error {
		for _, e := range events {
			if f, is := e.Fact.(domain.AgentSuspended); is && f.Reason == "poison" {
				return &follow.PoisonError{Position: e.Position, Cause: errors.New("I cannot")}
			}
		}
		return nil
	}
	undecodable := func(t testing.TB, w *world) { w.appendUnknown(t) }
	indigestible := func(t testing.TB, w *world) { w.append(t, 1, suspended("poison")) }
	for name, test := range map[string]struct {
		victim follow.Sink
		poison func(testing.TB, *world)
	}{
		"rows":              {follow.Rows(func(_ context.Context, _ pgx.Tx, events []follow.Event) error { return cannot(events) }), indigestible},
		"jobs":              {follow.Jobs(func(_ context.Context, _ pgx.Tx, events []follow.Event) error { return cannot(events) }), indigestible},
		"outside":           {follow.Outside(func(_ context.Context, events []follow.Event) error { return cannot(events) }), indigestible},
		"outside, by panic": {follow.Outside(func(_ context.Context, events []follow.Event) error { panicAt(cannot(events)); return nil }), indigestible},
		"unknown to rows":   {follow.Rows(func(context.Context, pgx.Tx, []follow.Event) error { return nil }), undecodable},
		"unknown outside":   {follow.Outside(func(context.Context, []follow.Event) error { return nil }), undecodable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var bare, other heard
			undecoded, indifferent := outside("bare", &bare), outside("other", &other)
			undecoded.Undecoded = true
			indifferent.Types = []domain.Type{"token.issued"}
			progress, _ := w.process(t, follow.Follower{Name: "victim", Sink: test.victim}, undecoded, indifferent)
			before := w.append(t, 7, suspended(""))
			test.poison(t, w)
			last := w.append(t, 3, issued())
			w.waitFor(t, progress, last, "bare", "other")
			eventually(t, "the victim halts", func() bool { _, state := w.place(t, "victim"); return state == "halted" })
			if at, _ := w.place(t, "victim"); at != before {
				t.Errorf("the victim halted at %d, want right before the poison at %d", at, before+1)
			}
			if bare.count() != int(last) || other.count() != 3 {
				t.Errorf("the others have taken %d and %d events, want %d and 3", bare.count(), other.count(), last)
			}
			var halted []follow.Status
			eventually(t, "status shows it", func() bool {
				halted = slices.DeleteFunc(progress.Status(), func(s follow.Status) bool { return !s.Halted })
				return len(halted) > 0
			})
			if len(halted) != 1 || halted[0].Projection != "victim" || halted[0].Error == "" {
				t.Errorf("status shows %+v as halted, want the victim and why", halted)
			}
		})
	}
}

func panicAt(err error) {
	if err != nil {
		panic(err)
	}
}

// What a job is made of is committed with the place or not at all, so each job is
// there once, whatever breaks.
func TestJobsAreEnqueuedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := jobs("jobs")
	enqueue := f.Sink.(follow.Jobs)
	var tries atomic.Int64
	f.Sink = follow.Jobs(func(ctx context.Context, tx pgx.Tx, events []follow.Event) error {
		if err := enqueue(ctx, tx, events); err != nil {
			return err
		}
		if tries.Add(1)%2 == 1 { // after all has been written
			_, err := tx.Exec(ctx, `SELECT pg_terminate_backend(pg_backend_pid())`)
			return err
		}
		return nil
	})
	progress, _ := w.process(t, f)
	last := w.append(t, 20, suspended(""))
	w.waitFor(t, progress, last, "jobs")
	last = w.append(t, 5, suspended(""))
	w.waitFor(t, progress, last, "jobs")
	if n := w.jobs(t); n != int(last) {
		t.Errorf("%d jobs for %d events", n, last)
	}
}

// An outside that is away is tried again and again: nothing is poison for that.
func TestOutsideThatIsAwayIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var h heard
	var away atomic.Bool
	away.Store(true)
	var tries atomic.Int64
	progress, _ := w.process(t, follow.Follower{Name: "outside", Sink: follow.Outside(func(_ context.Context, events []follow.Event) error {
		tries.Add(1)
		if away.Load() {
			return errors.New("connection refused")
		}
		h.take(events)
		return nil
	})})
	last := w.append(t, 3, suspended(""))
	eventually(t, "it has been tried thrice", func() bool { return tries.Load() >= 3 })
	if at, state := w.place(t, "outside"); at != 0 || state != "running" {
		t.Errorf("it is %s at %d, want it running at 0", state, at)
	}
	away.Store(false)
	w.waitFor(t, progress, last, "outside")
	if got := h.list(); !slices.Equal(got, []eventstore.Position{1, 2, 3}) {
		t.Errorf("the outside has got %v, want 1 to 3", got)
	}
}

// Nobody hears anything of a process whose place was moved by another.
func TestAFencedProcessHandsNothingOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var h heard
	progress, _ := w.process(t, outside("outside", &h))
	w.waitFor(t, progress, w.append(t, 2, suspended("")), "outside")
	w.exec(t, `UPDATE projection_checkpoints SET position = 4`)
	w.append(t, 2, suspended(""))
	last := w.append(t, 1, suspended(""))
	w.waitFor(t, progress, last, "outside")
	if got := h.list(); !slices.Equal(got, []eventstore.Position{1, 2, 5}) {
		t.Errorf("the outside has got %v, want what the other process is not said to have handed out", got)
	}
}

const (
	victimURL = "FOLLOW_TEST_VICTIM"
	handedOut = "handed out up to"
)

// TestVictim is no test but the process that is killed in
// TestOutsideHearsAgainWhatAKilledProcessHadNotStored.
func TestVictim(t *testing.T) {
	url := os.Getenv(victimURL)
	if url == "" {
		t.Skip("not the process that is killed")
	}
	pool := pgtest.Pool(t, url)
	store := newStore(t, pool)
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	f := follow.Follower{Name: "outside", Sink: follow.Outside(func(ctx context.Context, events []follow.Event) error {
		fmt.Println(handedOut, events[len(events)-1].Position)
		if err := self.Kill(); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	})}
	follow.NewRunner(pool, store, []follow.Follower{f}, follow.RunnerOptions{}).Run(t.Context())
}

// A process is killed between handing events out and storing that it has.
func TestOutsideHearsAgainWhatAKilledProcessHadNotStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	last := w.append(t, 5, suspended(""))
	victim := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestVictim$", "-test.timeout=60s")
	victim.Env = append(os.Environ(), victimURL+"="+w.ServerURL)
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	told := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		told = told || strings.Contains(lines.Text(), fmt.Sprint(handedOut, " ", last))
	}
	if err := victim.Wait(); err == nil || !told {
		t.Fatalf("the process ended with %v, having handed out all: %t; want it killed after that", err, told)
	}
	if at, _ := w.place(t, "outside"); at != 0 {
		t.Fatalf("the killed process has stored %d", at)
	}
	var h heard
	progress, _ := w.process(t, outside("outside", &h))
	last = w.append(t, 1, suspended(""))
	w.waitFor(t, progress, last, "outside")
	if got := h.list(); !slices.Equal(got, []eventstore.Position{1, 2, 3, 4, 5, 6}) {
		t.Errorf("the outside has got %v after the kill, want all six", got)
	}
}

// Read models that are derived again, by an operator or for a newer version, are
// nobody else's concern.
func TestARebuildSendsNothingAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var h heard
	followers := append(projections.Followers(w.pool, w.store, readmodels.All(), nil), outside("outside", &h), jobs("jobs"))
	progress, stop := w.process(t, followers...)
	last := w.append(t, 30, issued())
	w.waitFor(t, progress, last, "outside", "jobs", "audit")
	check := func(after string) {
		t.Helper()
		if h.count() != int(last) || w.jobs(t) != int(last) {
			t.Errorf("after %s: %d events handed out and %d jobs, want %d each", after, h.count(), w.jobs(t), last)
		}
	}
	rebuilder := projections.NewRebuilder(w.pool, w.store, projections.RebuildOptions{Restart: true})
	if err := projections.RebuildError(rebuilder.Rebuild(t.Context(), readmodels.All()...)); err != nil {
		t.Fatal(err)
	}
	last = w.append(t, 1, issued())
	w.waitFor(t, progress, last, "outside", "jobs", "audit")
	check("a rebuild")

	stop()
	w.exec(t, `UPDATE projection_checkpoints SET version = 0 WHERE name IN (SELECT name FROM projection_checkpoints WHERE version > 0)`)
	progress, _ = w.process(t, followers...)
	last = w.append(t, 1, issued())
	w.waitFor(t, progress, last, "outside", "jobs", "audit")
	check("read models of a newer version")
	time.Sleep(50 * time.Millisecond)
	check("a while")
}

func TestTwoFollowersOfOneNameAreRefused(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("they run, and share a place")
		}
	}()
	follow.NewRunner(nil, nil, []follow.Follower{{Name: "bills"}, {Name: "chat"}, {Name: "bills"}}, follow.RunnerOptions{})
}
