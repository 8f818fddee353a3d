package jobs_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/reactors/jobs"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// world is a migrated database and a clock.
type world struct {
	*pgtest.Database
	admin *pgxpool.Pool // as superuser
	clock *clock
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	db := pgtest.New(tb, pgtest.Migrated)
	return &world{Database: db, admin: pgtest.Pool(tb, db.SuperuserURL), clock: newClock()}
}

// clock goes only when it is told to.
type clock struct {
	mu sync.Mutex // guards at
	at time.Time
}

func newClock() *clock {
	return &clock{at: time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)}
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// node starts a scheduler as a process of its own would, until the returned
// function is called or the test ends.
func (w *world) node(tb testing.TB, name string, list ...jobs.Job) (stop func()) {
	tb.Helper()
	return w.nodeWith(tb, name, jobs.Options{}, list...)
}

func (w *world) nodeWith(tb testing.TB, name string, options jobs.Options, list ...jobs.Job) (stop func()) {
	tb.Helper()
	config, err := pgxpool.ParseConfig(w.ServerURL)
	if err != nil {
		tb.Fatal(err)
	}
	config.ConnConfig.RuntimeParams["application_name"] = name
	pool, err := pgxpool.NewWithConfig(tb.Context(), config)
	if err != nil {
		tb.Fatal(err)
	}
	options.Now, options.Standby, options.Look = w.clock.now, 5*time.Millisecond, 5*time.Millisecond
	scheduler := jobs.NewScheduler(pool, list, options)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		scheduler.Run(ctx)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
		pool.Close()
	})
	tb.Cleanup(stop)
	return stop
}

func (w *world) runs(tb testing.TB) map[string]jobs.Run {
	tb.Helper()
	list, err := jobs.Runs(tb.Context(), w.admin)
	if err != nil {
		tb.Fatal(err)
	}
	byName := map[string]jobs.Run{}
	for _, r := range list {
		byName[r.Job] = r
	}
	return byName
}

func eventually(tb testing.TB, what string, yes func() bool) {
	tb.Helper()
	const patience = 30 * time.Second
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-ctx.Done():
			tb.Fatalf("waited %s for %s", patience, what)
		case <-tick.C:
		}
	}
}

// counted is a job that counts its runs.
func counted(interval time.Duration, runs *atomic.Int64) jobs.Job {
	return jobs.Job{Name: "counted", Interval: interval, Run: func(context.Context) (jobs.Result, error) {
		return jobs.Result{Count: runs.Add(1), Detail: "done"}, nil
	}}
}

// stored waits until the table shows that a job has run so often.
func (w *world) stored(tb testing.TB, count int64) jobs.Run {
	tb.Helper()
	var run jobs.Run
	eventually(tb, "the run to be written down", func() bool {
		run = w.runs(tb)["counted"]
		return run.Outcome != jobs.NeverRan && run.Count >= count
	})
	return run
}

func TestAJobRunsOncePerIntervalOverAllNodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var runs atomic.Int64
	for _, name := range []string{"one", "two", "three"} {
		w.node(t, name, counted(time.Hour, &runs))
	}
	first := w.stored(t, 1)
	if want := w.clock.now(); !first.StartedAt.Equal(want) || !first.NextAt.Equal(want.Add(time.Hour)) || first.Outcome != jobs.Passed || first.Detail != "done" {
		t.Errorf("the first run is %+v, want one at %s and the next an hour later", first, want)
	}
	for i := int64(2); i <= 5; i++ {
		w.clock.advance(time.Hour - time.Microsecond)
		w.clock.advance(time.Microsecond)
		w.stored(t, i)
	}
	if got := runs.Load(); got != 5 {
		t.Errorf("ran %d times in five intervals on three nodes", got)
	}
}

func TestARestartRunsNothingEarly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var runs, other atomic.Int64
	stop := w.node(t, "before", counted(time.Hour, &runs))
	w.stored(t, 1)
	stop()
	// The second job shows that the new node has looked at its jobs.
	sentinel := jobs.Job{Name: "sentinel", Interval: time.Second, Run: func(context.Context) (jobs.Result, error) {
		return jobs.Result{Count: other.Add(1)}, nil
	}}
	w.node(t, "after", counted(time.Hour, &runs), sentinel)
	eventually(t, "the new node", func() bool { return w.term(t, "counted") == 2 && other.Load() > 0 })
	w.clock.advance(59 * time.Minute)
	eventually(t, "the other job", func() bool { return other.Load() > 1 })
	if got := runs.Load(); got != 1 {
		t.Errorf("ran %d times within its interval", got)
	}
	w.clock.advance(time.Minute)
	w.stored(t, 2)
}

func (w *world) term(tb testing.TB, job string) (term int) {
	tb.Helper()
	if err := w.admin.QueryRow(tb.Context(), `SELECT coalesce(max(term), 0) FROM job_runs WHERE name = $1`, job).Scan(&term); err != nil {
		tb.Fatal(err)
	}
	return term
}

// kill ends the sessions that hold leases, as the death of a process would.
func (w *world) kill(tb testing.TB) {
	tb.Helper()
	if _, err := w.admin.Exec(tb.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'agentidp jobs' AND EXISTS
			(SELECT FROM pg_locks WHERE pg_locks.pid = pg_stat_activity.pid AND locktype = 'advisory')`); err != nil {
		tb.Fatal(err)
	}
}

// A holder that is cut off in the middle of a run is replaced, and what it
// finds out after that is written nowhere.
func TestAHolderWhoseLeaseIsGoneWritesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	began, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	stubborn := jobs.Job{Name: "counted", Interval: time.Hour, Run: func(context.Context) (jobs.Result, error) {
		once.Do(func() { close(began) })
		<-release // whatever becomes of the context
		return jobs.Result{Count: 1000, Failed: true, Detail: "from the past"}, nil
	}}
	var told atomic.Int64
	w.nodeWith(t, "stubborn", jobs.Options{Ran: func(jobs.Run) { told.Add(1) }}, stubborn)
	<-began
	var runs atomic.Int64
	cut := time.Now()
	w.kill(t)
	w.node(t, "successor", counted(time.Hour, &runs))
	got := w.stored(t, 1)
	if took := time.Since(cut); took > 10*time.Second {
		t.Errorf("the successor took %s", took)
	}
	close(release)
	eventually(t, "the first node to notice", func() bool { return w.holders(t) == 1 })
	w.clock.advance(time.Hour)
	if again := w.stored(t, 2); got.Outcome != jobs.Passed || again.Outcome != jobs.Passed || again.Count != 2 || told.Load() != 0 {
		t.Errorf("the runs are %+v and %+v, %d of the first node; want what the successor found", got, again, told.Load())
	}
}

func (w *world) holders(tb testing.TB) (n int) {
	tb.Helper()
	if err := w.admin.QueryRow(tb.Context(), `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&n); err != nil {
		tb.Fatal(err)
	}
	return n
}

// The same, where nothing told the holder that its lease is gone: the term
// alone keeps it from writing.
func TestAStaleTermIsFenced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	began, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var runs atomic.Int64
	frozen := jobs.Job{Name: "counted", Interval: time.Hour, Run: func(context.Context) (jobs.Result, error) {
		once.Do(func() { close(began) })
		<-release
		return jobs.Result{Count: runs.Add(1), Detail: "late"}, nil
	}}
	w.node(t, "frozen", frozen)
	<-began
	if _, err := w.admin.Exec(t.Context(), `UPDATE job_runs SET term = term + 1, outcome = 'failed', detail = 'theirs', count = 0,
		started_at = $1, finished_at = $1, next_at = $2`, w.clock.now(), w.clock.now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	close(release)
	eventually(t, "the job to be taken up in a new term", func() bool { return w.term(t, "counted") == 3 })
	if got := w.runs(t)["counted"]; got.Outcome != jobs.Failed || got.Detail != "theirs" || runs.Load() != 1 {
		t.Errorf("after a write of an old term the run is %+v", got)
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		run  func(context.Context) (jobs.Result, error)
		want jobs.Outcome
		next time.Duration
	}{
		"passed": {func(context.Context) (jobs.Result, error) { return jobs.Result{Detail: "fine"}, nil }, jobs.Passed, time.Hour},
		"failed": {func(context.Context) (jobs.Result, error) { return jobs.Result{Failed: true}, nil }, jobs.Failed, time.Hour},
		"error":  {func(context.Context) (jobs.Result, error) { return jobs.Result{}, errors.New("away") }, jobs.Error, time.Minute},
		"panic":  {func(context.Context) (jobs.Result, error) { panic("oh") }, jobs.Error, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			told := make(chan jobs.Run, 100)
			var seen atomic.Pointer[[]jobs.Run]
			w.nodeWith(t, name, jobs.Options{Ran: func(r jobs.Run) { told <- r }, Seen: func(all []jobs.Run) { seen.Store(&all) }},
				jobs.Job{Name: "one", Interval: time.Hour, Run: test.run})
			own := <-told
			got := w.runs(t)["one"]
			if got.Outcome != test.want || got.NextAt.Sub(got.FinishedAt) != test.next || own.Outcome != test.want {
				t.Errorf("got %+v, told %+v; want %s and the next run after %s", got, own, test.want, test.next)
			}
			eventually(t, "the run to be seen", func() bool {
				all := seen.Load()
				return all != nil && len(*all) == 1 && (*all)[0].Outcome == test.want
			})
		})
	}
}

func TestAShorterIntervalCountsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var runs atomic.Int64
	stop := w.node(t, "daily", counted(24*time.Hour, &runs))
	w.stored(t, 1)
	stop()
	w.clock.advance(time.Hour)
	w.node(t, "hourly", counted(time.Hour, &runs))
	w.stored(t, 2)
}
