package esdb_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/esdb/model"
	"github.com/sentryagent/agentidp/eventstore/esdb/modelwire"
	"github.com/sentryagent/agentidp/eventstore/storetest"
)

// counted counts the calls of a dialer.
type counted struct {
	mu    sync.Mutex // guards calls
	calls map[string]int
}

func (c *counted) called(call string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[call]++
}

func (c *counted) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	calls := c.calls
	c.calls = map[string]int{}
	return calls
}

// What each operation asks of the server, exactly.
func TestCallsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, c := modelled(t, model.Options{Latency: time.Millisecond}), &counted{calls: map[string]int{}}
		dialer := &modelwire.Dialer{Cluster: cluster}
		other := on(t, dialer, esdb.Options{})
		store := on(t, &modelwire.Dialer{Cluster: cluster, Called: c.called}, esdb.Options{})
		mustAppend(t, store, "a-1", eventstore.NoStream(), storetest.NewDraft("a.x"))
		time.Sleep(time.Minute)
		for range 3 { // the first barrier comes with its bound
			headOf(t, store)
		}
		time.Sleep(time.Minute)
		expect := func(what string, want map[string]int) {
			t.Helper()
			if diff := cmp.Diff(want, c.take()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		type calls = map[string]int
		c.take()
		time.Sleep(time.Minute)
		expect("an idle minute", calls{})
		for range 60 {
			if _, err := eventstore.Reached(t.Context(), store); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		expect("a minute of looking how far the ledger is", calls{})
		headOf(t, store)
		expect("a head after a time of silence, with its proof", calls{"append": 1, "all": 1})
		headOf(t, store)
		expect("another one, within the lease", calls{"all": 1})
		appended := mustAppend(t, store, "a-1", eventstore.Exactly(0), storetest.NewDraft("a.x"))
		expect("an append", calls{"append": 1})
		headOf(t, store)
		expect("a head that an append has proven", calls{"all": 1})
		for range 10 {
			headOf(t, store)
		}
		expect("ten of them", calls{"all": 10})
		newer := mustAppend(t, other, "a-2", eventstore.NoStream(), storetest.NewDraft("a.x"))
		head := headOf(t, store)
		if head != newer.Position() {
			t.Errorf("the head is %d, want %d", head, newer.Position())
		}
		read := 0
		for _, err := range eventstore.ReadNew(t.Context(), store, appended.Position(), head, eventstore.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			read++
		}
		if read != 1 {
			t.Errorf("%d events are new, want 1", read)
		}
		expect("a head, and what is new since the last one", calls{"all": 1})
		var all sync.WaitGroup
		for n := range 64 {
			all.Go(func() { mustAppend(t, store, fmt.Sprintf("b-%d", n), eventstore.NoStream(), storetest.NewDraft("a.x")) })
		}
		all.Wait()
		expect("64 appends to new streams", calls{"append": 64, "stream": 64}) // whether they were deleted before
		for range 8 {
			mustAppend(t, store, "b-1", eventstore.Any(), storetest.NewDraft("a.x"))
		}
		expect("8 appends to one of them", calls{"append": 8})
	})
}
