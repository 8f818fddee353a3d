package esdb_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
	"github.com/sentryagent/agentidp/eventstore/storetest"
)

// bare is the library as another program would use it.
func bare(t testing.TB, cluster *wiretest.Cluster) *client.Client {
	t.Helper()
	library, err := cluster.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = library.Close() })
	return library
}

func TestTheServerKeepsTheRecordAsItWasSealed(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t, 1)
	store := newStore(t, cluster.URL(), esdb.Options{})
	appended := mustAppend(t, store, "a-1", eventstore.NoStream(), storetest.NewDraft("a.x"), storetest.NewDraft("a.y"))
	stored := storetest.Verify(t, store)
	stream, err := bare(t, cluster).ReadStream(t.Context(), "a-1", client.ReadStreamOptions{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for _, want := range stored {
		got, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Event.Data, want.Record) || eventstore.HashOf(got.Event.Data) != want.Hash || got.Event.EventType != want.Type {
			t.Errorf("the server has %s, want the record %s", got.Event.Data, want.Record)
		}
	}
	if appended.Hash != stored[1].Hash {
		t.Errorf("Append said %s, want %s", appended.Hash, stored[1].Hash)
	}
}

// What the ledger has not written does not become part of it: alone it is
// ignored; in a stream of the ledger it is a hole that verification finds, and
// nothing is sealed on top of it.
func TestForeignEventsAreNoPartOfTheLedger(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t, 1)
	store, library := newStore(t, cluster.URL(), esdb.Options{}), bare(t, cluster)
	foreign := func(stream string) {
		t.Helper()
		_, err := library.AppendToStream(t.Context(), stream, client.AppendToStreamOptions{}, client.EventData{EventType: "a.x", Data: []byte(`{}`)})
		if err != nil {
			t.Fatal(err)
		}
	}
	foreign("orders-1")
	if head, err := store.Head(t.Context()); err != nil || head != 0 {
		t.Errorf("Head = %d, %v beside foreign events, want 0", head, err)
	}
	appended := mustAppend(t, store, "a-1", eventstore.NoStream(), storetest.NewDraft("a.x"))
	foreign("orders-1")
	if head, err := store.Head(t.Context()); err != nil || head != appended.Position() {
		t.Errorf("Head = %d, %v, want %d", head, err, appended.Position())
	}
	foreign("a-1")
	fresh := newStore(t, cluster.URL(), esdb.Options{})
	for _, store := range []*esdb.Store{store, fresh} {
		_, err := store.Append(t.Context(), "a-1", eventstore.Any(), storetest.NewDraft("a.x"))
		if err == nil || errors.Is(err, eventstore.ErrUnavailable) {
			t.Errorf("Append on a foreign event = %v, want an error that stays", err)
		}
	}
	if got := len(storetest.Verify(t, store)); got != 1 {
		t.Errorf("%d events, want 1", got)
	}
}

func TestTamperingIsFound(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t, 1)
	store := newStore(t, cluster.URL(), esdb.Options{})
	mustAppend(t, store, "a-1", eventstore.NoStream(), storetest.NewDraft("a.x"), storetest.NewDraft("a.x"))
	if err := cluster.Tamper("a-1", 1); err != nil {
		t.Fatal(err)
	}
	chain := eventstore.NewChain(eventstore.ChainOptions{})
	var found *eventstore.Break
	for _, e := range storetest.All(t, store) {
		if err := chain.Check(e); err != nil && !errors.As(err, &found) {
			t.Fatal(err)
		}
	}
	if found == nil || found.Kind != eventstore.BreakAltered {
		t.Errorf("found %v, want an altered record", found)
	}
}

func TestStreamsOfTheServersOwnAreRefused(t *testing.T) {
	t.Parallel()
	store := newStore(t, newCluster(t, 1).URL(), esdb.Options{})
	if _, err := store.Append(t.Context(), "$settings", eventstore.Any(), storetest.NewDraft("a.x")); !errors.Is(err, eventstore.ErrInvalidDraft) {
		t.Errorf("Append = %v, want ErrInvalidDraft", err)
	}
}

// The server takes one MiB; a large append is refused before it is sent, and
// many that wait for the same stream are written in pieces.
func TestWritesStayBelowTheServersBound(t *testing.T) {
	t.Parallel()
	store := newStore(t, newCluster(t, 1).URL(), esdb.Options{})
	large := func() eventstore.Draft {
		d := storetest.NewDraft("a.x")
		d.Data = []byte(`{"text":"` + strings.Repeat("x", 50<<10) + `"}`)
		return d
	}
	var many []eventstore.Draft
	for range 30 {
		many = append(many, large())
	}
	if _, err := store.Append(t.Context(), "a-1", eventstore.NoStream(), many...); !errors.Is(err, eventstore.ErrTooLarge) {
		t.Errorf("Append of 1.5 MB = %v, want ErrTooLarge", err)
	}
	errs := make(chan error)
	for range 60 {
		go func() {
			_, err := store.Append(t.Context(), "a-2", eventstore.Any(), large())
			errs <- err
		}()
	}
	for range 60 {
		if err := <-errs; err != nil {
			t.Errorf("Append: %v", err)
		}
	}
	if got := len(storetest.Verify(t, store)); got != 60 {
		t.Errorf("%d events, want 60", got)
	}
}

// Positions that no event has are read on from all the same.
func TestAnyPositionMayBeReadFrom(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t, 1)
	store := newStore(t, cluster.URL(), esdb.Options{})
	const streams, each = 30, 200 // more than a tail holds
	for i := range streams {
		mustAppend(t, store, fmt.Sprintf("a-%d", i), eventstore.NoStream(), newDrafts(each)...)
	}
	all := storetest.Verify(t, store)
	head := all[len(all)-1].Position
	for _, n := range []int{0, 10, len(all) / 2, len(all) - 2} {
		for _, after := range []eventstore.Position{all[n].Position + 1, all[n+1].Position - 1} {
			readFrom(t, store, after, head, all[n+1:])
		}
	}
}

func readFrom(t *testing.T, store eventstore.Store, after, head eventstore.Position, want []eventstore.Event) {
	t.Helper()
	sub := store.Subscribe(after, eventstore.Filter{})
	defer sub.Close()
	if got := storetest.Follow(t, sub, head); len(got) != len(want) || got[0].ID != want[0].ID {
		t.Errorf("Subscribe after position %d: %d events, want %d", after, len(got), len(want))
	}
	read := 0
	for e, err := range store.ReadAll(t.Context(), after, eventstore.Filter{}) {
		if err != nil || read == 0 && e.ID != want[0].ID {
			t.Fatalf("ReadAll after position %d: event %s, %v", after, e.ID, err)
		}
		read++
	}
	if read != len(want) {
		t.Errorf("ReadAll after position %d: %d events, want %d", after, read, len(want))
	}
}

// A store that has just begun still knows what was appended before.
func TestAnotherProcessKnowsTheIDs(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t, 1)
	known := storetest.NewDraft("a.x")
	first := mustAppend(t, newStore(t, cluster.URL(), esdb.Options{}), "a-1", eventstore.Any(), known)
	store := newStore(t, cluster.URL(), esdb.Options{})
	storetest.Follow(t, store.Subscribe(0, eventstore.Filter{}), first.Position())
	if _, err := store.Append(t.Context(), "a-2", eventstore.NoStream(), known); !errors.Is(err, eventstore.ErrDuplicateID) {
		t.Errorf("Append of a known id = %v, want ErrDuplicateID", err)
	}
	if again := mustAppend(t, store, "a-1", eventstore.Any(), known); again.Position() != first.Position() {
		t.Errorf("repeated at position %d, want %d", again.Position(), first.Position())
	}
	old := storetest.NewDraft("a.x")
	old.ID = uuid.New() // says nothing of its age
	mustAppend(t, store, "a-1", eventstore.Any(), old)
}
