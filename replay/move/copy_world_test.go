package move_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/eventstore/postgres"
	"github.com/sentryagent/agentidp/eventstore/storetest"
	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay/move"
)

// engines that a ledger is copied between, each opening an empty one.
var engines = map[string]func(*testing.T) eventstore.Store{
	"memory":   func(*testing.T) eventstore.Store { return memory.New() },
	"postgres": newPostgres,
	"esdb": func(t *testing.T) eventstore.Store {
		store, _ := newESDB(t)
		return store
	},
}

func newPostgres(t *testing.T) eventstore.Store {
	t.Helper()
	database := pgtest.New(t, pgtest.Migrated)
	options, err := pgxpool.ParseConfig(database.ServerURL)
	if err != nil {
		t.Fatal(err)
	}
	options.MaxConns = 4
	pool, err := pgxpool.NewWithConfig(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	store := postgres.New(t.Context(), pool, postgres.Options{Timeout: time.Minute})
	t.Cleanup(store.Close)
	return store
}

func newESDB(t *testing.T) (eventstore.Store, *wiretest.Cluster) {
	t.Helper()
	cluster := wiretest.Start(t, 1)
	store, err := esdb.New(cluster.URL(), esdb.Options{Timeout: time.Minute, MinBackoff: time.Millisecond, MaxBackoff: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store, cluster
}

// copyist writes events as different as a ledger may have them: of several
// organizations and of nobody, one or many at once, in many streams of its own
// and in one that all of them share, now and then with odd strings in them.
type copyist struct {
	name   string
	random *rand.Rand
	heads  map[string]int64
}

func newCopyist(name string, seed uint64) *copyist {
	return &copyist{name, rand.New(rand.NewPCG(seed, 7)), map[string]int64{}}
}

func (s *copyist) draft() eventstore.Draft {
	d := storetest.NewDraft(fmt.Sprintf("copy.kind-%d", s.random.IntN(5)))
	switch n := s.random.IntN(5); n {
	case 0:
		d.Organization, d.Actor, d.Request = uuid.Nil, eventstore.Actor{Kind: "system"}, eventstore.Request{}
	default:
		d.Organization = uuid.NewSHA1(uuid.NameSpaceOID, []byte{byte(n)})
	}
	switch s.random.IntN(8) {
	case 0:
		d.Schema, d.Causation = 3, uuid.New()
		d.Data = json.RawMessage(`{ "b" : 1.0e2, "a": "\u00e9\/ü 🗝", "nested": {"": [null, true]} }`)
		d.Request.Agent = "odd \"agent\" \\ \x01 ü \u2028"
	case 1:
		d.Data = json.RawMessage(`{"long":"` + string(bytes.Repeat([]byte("x"), 20<<10)) + `"}`)
	}
	return d
}

// write makes an append, and says how many events it was of.
func (s *copyist) write(t *testing.T, to eventstore.Store) int {
	t.Helper()
	events := make([]eventstore.Draft, 1+s.random.IntN(3)*s.random.IntN(3))
	for i := range events {
		events[i] = s.draft()
	}
	stream, expected := "shared", eventstore.Any()
	if s.random.IntN(6) > 0 {
		stream = fmt.Sprintf("%s ü-%d", s.name, s.random.IntN(25))
		head, known := s.heads[stream]
		if expected = eventstore.NoStream(); known {
			expected = eventstore.Exactly(head)
		}
	}
	appended, err := to.Append(t.Context(), stream, expected, events...)
	if err != nil {
		t.Errorf("append: %v", err)
		return len(events)
	}
	s.heads[stream] = appended.Revision
	return len(events)
}

func fill(t *testing.T, to eventstore.Store, events int) {
	t.Helper()
	s := newCopyist(fmt.Sprintf("filled %d", events), uint64(events))
	for n := 0; n < events && !t.Failed(); {
		n += s.write(t, to)
	}
}

// mustBeCopies checks, without the code under test, that two ledgers have the
// same events in the same order, and that a report says what they are.
func mustBeCopies(t *testing.T, from, to eventstore.Store, report move.CopyReport) {
	t.Helper()
	source, target := storetest.Verify(t, from), storetest.Verify(t, to)
	if len(source) != len(target) {
		t.Fatalf("the target has %d events, the source %d", len(target), len(source))
	}
	whole, trees := &transparency.Tree{}, map[uuid.UUID]*transparency.Tree{}
	for i := range source {
		s, c := source[i], target[i]
		c.Position, s.Position = 0, 0
		s.RecordedAt, c.RecordedAt = s.RecordedAt.UTC(), c.RecordedAt.UTC()
		if !bytes.Equal(s.Record, c.Record) || fmt.Sprint(s) != fmt.Sprint(c) {
			t.Fatalf("event %d differs:\n%s\n%s", i, s.Record, c.Record)
		}
		whole.Append(c.Hash)
		if trees[c.Organization] == nil {
			trees[c.Organization] = &transparency.Tree{}
		}
		trees[c.Organization].Append(c.Hash)
	}
	delete(trees, uuid.Nil)
	if !report.Proven || !report.Complete || report.Events != int64(len(source)) || report.Root != whole.Root() || len(report.Organizations) != len(trees) {
		t.Errorf("report = %+v, want it proven, complete, with %d events of %d organizations", report, len(source), len(trees))
	}
	for _, log := range report.Organizations {
		if tree := trees[log.ID]; tree == nil || tree.Size() != log.Size || tree.Root() != log.Root {
			t.Errorf("organization %s is reported with %d entries and root %s, which it does not have", log.ID, log.Size, log.Root)
		}
	}
}

// tampered is a ledger in which events look otherwise than they are.
type tampered struct {
	eventstore.Store
	alter func(*eventstore.Event)
}

func (s tampered) Subscribe(after eventstore.Position, filter eventstore.Filter) eventstore.Subscription {
	return tamperedSubscription{s.Store.Subscribe(after, filter), s.alter}
}

type tamperedSubscription struct {
	eventstore.Subscription
	alter func(*eventstore.Event)
}

func (s tamperedSubscription) Next(ctx context.Context) (eventstore.Batch, error) {
	batch, err := s.Subscription.Next(ctx)
	batch.Events = append([]eventstore.Event(nil), batch.Events...)
	for i := range batch.Events {
		s.alter(&batch.Events[i])
	}
	return batch, err
}

// wantDifference expects that a copy was refused, and where.
func wantDifference(t *testing.T, err error, id uuid.UUID) {
	t.Helper()
	var difference *move.Difference
	if !errors.As(err, &difference) || difference.EventID != id {
		t.Errorf("Copy = %v, want a difference that names event %s", err, id)
	}
}
