package lease_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/internal/lease"
	"github.com/sentryagent/agentidp/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestALeaseIsOneProcesssAtATime(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Template{})
	one, other := lease.New(pgtest.Pool(t, db.ServerURL), "one"), lease.New(pgtest.Pool(t, db.ServerURL), "other")
	t.Cleanup(one.Keep())
	t.Cleanup(other.Keep())
	first := acquire(t, one, "a")
	if held, err := other.Acquire(t.Context(), "a"); held != nil || err != nil {
		t.Fatalf("the other gets the lease as well: %v, %v", held, err)
	}
	acquire(t, other, "b") // another right is another matter
	held, err := lease.Held(t.Context(), pgtest.Pool(t, db.ServerURL), "a", "b", "c")
	if err != nil || !slices.Equal(held, []string{"a", "b"}) {
		t.Errorf("Held = %v, %v, want a and b", held, err)
	}
	one.Release("a")
	if first.Err() == nil {
		t.Error("the context goes on after the lease was given back")
	}
	acquire(t, other, "a")
}

func acquire(t *testing.T, l *lease.Leases, name string) context.Context {
	t.Helper()
	held, err := l.Acquire(t.Context(), name)
	if err != nil || held == nil {
		t.Fatalf("lease %s: %v, %v", name, held, err)
	}
	return held
}

// A holder whose session is gone learns it within seconds, by its context; the
// lease is free from the moment the session ended.
func TestALostLeaseEndsItsContext(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Template{})
	one, other := lease.New(pgtest.Pool(t, db.ServerURL), "one"), lease.New(pgtest.Pool(t, db.ServerURL), "other")
	t.Cleanup(one.Keep())
	t.Cleanup(other.Keep())
	held := acquire(t, one, "a")
	if _, err := pgtest.Pool(t, db.SuperuserURL).Exec(t.Context(), `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'one'`); err != nil {
		t.Fatal(err)
	}
	acquire(t, other, "a")
	const patience = 20 * time.Second
	select {
	case <-held.Done():
	case <-time.After(patience):
		t.Fatalf("after %s the holder knows nothing of it", patience)
	}
	if cause := context.Cause(held); !errors.Is(cause, lease.ErrLost) {
		t.Errorf("the context ended with %v, want ErrLost", cause)
	}
}

// Nothing is heard of a holder that has no heartbeat, as of one that is frozen;
// its session is alive and well as far as its machine can tell.
func TestASilentHolderLosesItsLease(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Template{})
	silent, other := lease.New(pgtest.Pool(t, db.ServerURL), "silent"), lease.New(pgtest.Pool(t, db.ServerURL), "other")
	t.Cleanup(other.Keep())
	held := acquire(t, silent, "a")
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(lease.Silence + 20*time.Second)
	for now := range tick.C {
		taken, err := other.Acquire(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		if taken != nil {
			break
		}
		if now.After(deadline) {
			t.Fatal("a holder of whom nothing is heard keeps its lease")
		}
	}
	silent.Keep()() // it wakes up
	if cause := context.Cause(held); !errors.Is(cause, lease.ErrLost) {
		t.Errorf("the silent holder's context ended with %v, want ErrLost", cause)
	}
}
