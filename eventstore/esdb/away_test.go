package esdb_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/esdb/model"
	"github.com/sentryagent/agentidp/eventstore/esdb/modelwire"
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
)

// Nobody who reads waits long for a store that does not answer and has no other
// node that does: three seconds for one that was there before, and not at all for
// one that is known to be away. That holds for every way to read.
func TestNobodyWaitsLongForAStoreThatIsAway(t *testing.T) {
	drain := func(events func(func(eventstore.Event, error) bool)) (err error) {
		for _, err = range events {
			if err != nil {
				return err
			}
		}
		return nil
	}
	for name, read := range map[string]func(context.Context, *esdb.Store) error{
		"head": func(ctx context.Context, s *esdb.Store) error { _, err := s.Head(ctx); return err },
		"all":  func(ctx context.Context, s *esdb.Store) error { return drain(s.ReadAll(ctx, 0, eventstore.Filter{})) },
		"new": func(ctx context.Context, s *esdb.Store) error {
			return drain(s.ReadNew(ctx, 0, eventstore.Position(1<<40), eventstore.Filter{}))
		},
		"newest": func(ctx context.Context, s *esdb.Store) error {
			_, err := s.Newest(ctx, 3, eventstore.Filter{})
			return err
		},
		"stream": func(ctx context.Context, s *esdb.Store) error {
			return drain(s.ReadStream(ctx, "a-1", 0, eventstore.Forwards))
		},
		"whole":   func(ctx context.Context, s *esdb.Store) error { return drain(s.ReadWhole(ctx, "a-1")) },
		"deeds":   func(ctx context.Context, s *esdb.Store) error { _, err := s.Interferences(ctx, 0); return err },
		"history": func(ctx context.Context, s *esdb.Store) error { return drain(s.ReadAll(ctx, 1, eventstore.Filter{})) },
	} {
		for away, happen := range map[string]func(*model.Node){"frozen": (*model.Node).Freeze, "stopped": (*model.Node).Kill} {
			t.Run(name+" "+away, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					cluster := modelled(t, model.Options{Latency: time.Millisecond})
					store := on(t, &modelwire.Dialer{Cluster: cluster}, esdb.Options{})
					mustAppend(t, store, "a-1", eventstore.NoStream(), newDrafts(10)...)
					headOf(t, store)
					time.Sleep(time.Minute)
					happen(cluster.Node(0))
					if away == "stopped" {
						time.Sleep(10 * time.Second) // known to be away
					}
					for n := range 4 {
						bound := 3 * time.Second
						if n > 0 || away == "stopped" { // it is known by then
							bound = time.Second
						}
						begin := time.Now()
						err := read(soon(t, time.Hour), store)
						if took := time.Since(begin); !errors.Is(err, eventstore.ErrUnavailable) || took > bound {
							t.Errorf("read %d ended after %s: %v", n, took, err)
						}
					}
					if away != "frozen" {
						return
					}
					cluster.Node(0).Wake()
					time.Sleep(10 * time.Second)
					if err := read(soon(t, time.Hour), store); err != nil && name != "new" { // which reads to what never was
						t.Errorf("awake again: %v", err)
					}
				})
			})
		}
	}
}

// A read that takes long is no read of a store that is away.
func TestALongReadIsNotGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := modelled(t, model.Options{Latency: time.Millisecond})
		dialer := slow{&modelwire.Dialer{Cluster: cluster}}
		store := esdb.NewOn(dialer, esdb.Options{})
		t.Cleanup(store.Close)
		mustAppend(t, store, "a-1", eventstore.NoStream(), newDrafts(200)...)
		mustAppend(t, store, "a-1", eventstore.Any(), newDrafts(200)...)
		n := 0
		for _, err := range store.ReadAll(soon(t, time.Hour), 0, eventstore.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != 400 {
			t.Errorf("%d events, want 400", n)
		}
		if state := store.State(); state.Connections != 1 {
			t.Errorf("%d connections were made, want 1", state.Connections)
		}
	})
}

// slow is a server whose large pages take their time.
type slow struct{ wire.Dialer }

func (s slow) Dial(ctx context.Context) (wire.Conn, error) {
	c, err := s.Dialer.Dial(ctx)
	return slowly{c}, err
}

type slowly struct{ wire.Conn }

func (s slowly) ReadAll(ctx context.Context, from wire.Position, direction eventstore.Direction, count int) ([]wire.Record, error) {
	if count > 64 {
		time.Sleep(30 * time.Second)
	}
	return s.Conn.ReadAll(ctx, from, direction, count)
}
