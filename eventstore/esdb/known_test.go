package esdb_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
	"github.com/sentryagent/agentidp/eventstore/storetest"
)

// A server that is put back to an earlier state under a store is neither written on
// nor believed, whatever was lost, until it has all of it again.
func TestAServerThatIsPutBackIsNotWrittenOn(t *testing.T) {
	t.Parallel()
	cluster := wiretest.Start(t, 1)
	s, err := esdb.New(cluster.URL(), esdb.Options{MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	append := func() (eventstore.Appended, error) {
		return s.Append(t.Context(), "a-1", eventstore.Any(), storetest.NewDraft("a.happened"))
	}
	for range 5 {
		if _, err := append(); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		before := cluster.Model().Backup()
		if _, err := append(); err != nil {
			t.Fatal(err)
		}
		after := cluster.Model().Backup()
		known, err := s.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		restore := func(to func()) {
			t.Helper()
			cluster.Node(0).Stop()
			to()
			if err := cluster.Node(0).Start(); err != nil {
				t.Fatal(err)
			}
		}
		events := cluster.Events()
		restore(func() { cluster.Model().Restore(before) })
		var lost *eventstore.LostError
		await(t, func() bool { _, err := s.Head(t.Context()); return errors.As(err, &lost) })
		if lost.Known < known || lost.Head >= known {
			t.Errorf("the head was at %d: %v", known, lost)
		}
		if _, err := append(); !errors.As(err, &lost) || !errors.Is(err, eventstore.ErrUnavailable) {
			t.Errorf("an append: %v, want that events are lost", err)
		}
		restore(func() { cluster.Model().Restore(after) })
		await(t, func() bool { _, err := s.Head(t.Context()); return err == nil })
		if got := cluster.Events("barrier"); got > events {
			t.Errorf("%d events, before it was put back %d", got, events)
		}
	}
	if _, err := append(); err != nil {
		t.Error(err)
	}
	storetest.Verify(t, s)
}

func await(t *testing.T, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatal("waited for a minute")
		case <-time.After(time.Millisecond):
		}
	}
}
