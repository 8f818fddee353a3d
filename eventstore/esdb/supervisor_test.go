package esdb_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/storetest"
)

// insideTheClient counts goroutines in the library, which must not be left
// there when a client has failed. It runs beside no other test.
func insideTheClient() (n int) {
	buffer := make([]byte, 16<<20)
	for stack := range strings.SplitSeq(string(buffer[:runtime.Stack(buffer, true)]), "\n\n") {
		if strings.Contains(stack, "EventStore-Client-Go/v4/esdb.") {
			n++
		}
	}
	return n
}

func TestFailedClientsLeaveNothingBehind(t *testing.T) {
	cluster := newCluster(t, 1)
	store := newStore(t, cluster.URL(), esdb.Options{})
	for range 20 {
		until(t, "there is a connection", phase(store, esdb.Connected))
		var all sync.WaitGroup
		for i := range 64 {
			all.Go(func() {
				for {
					_, err := store.Append(t.Context(), fmt.Sprintf("a-%d", i), eventstore.Any(), storetest.NewDraft("a.x"))
					if errors.Is(err, eventstore.ErrUnavailable) {
						return
					}
				}
			})
		}
		cluster.Node(0).Stop()
		all.Wait()
		if err := cluster.Node(0).Start(); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	store.Close()
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("Close took %s: a call was not answered", took)
	}
	until(t, "nobody is inside the client", func() bool { return insideTheClient() == 0 })
}

func TestStateIsTold(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t, 1)
	var mu sync.Mutex // guards told
	var told []esdb.Phase
	store := newStore(t, cluster.URL(), esdb.Options{ObserveState: func(s esdb.State) {
		mu.Lock()
		defer mu.Unlock()
		if len(told) == 0 || told[len(told)-1] != s.Phase {
			told = append(told, s.Phase)
		}
	}})
	until(t, "there is a connection", phase(store, esdb.Connected))
	time.Sleep(1100 * time.Millisecond) // a connection that lasted is replaced at once
	cluster.Node(0).Stop()
	until(t, "it is missed", phase(store, esdb.Unavailable))
	if s := store.State(); s.Err == nil || s.Failures == 0 || s.Connections != 1 || s.Since.IsZero() {
		t.Errorf("State = %+v, want what failed", s)
	}
	if err := cluster.Node(0).Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "there is a connection", phase(store, esdb.Connected))
	mu.Lock()
	defer mu.Unlock()
	want := fmt.Sprint([]esdb.Phase{esdb.Connected, esdb.Connecting, esdb.Unavailable, esdb.Connected})
	if got := fmt.Sprint(told); got != want {
		t.Errorf("phases %s, want %s", got, want)
	}
}

func TestAnAbsentServerIsUnavailableSoon(t *testing.T) {
	t.Parallel()
	store := newStore(t, "esdb://127.0.0.1:1?tls=false", esdb.Options{})
	sub := store.Subscribe(0, eventstore.Filter{})
	for range 3 {
		begin := time.Now()
		_, appending := store.Append(t.Context(), "a-1", eventstore.NoStream(), storetest.NewDraft("a.x"))
		_, head := store.Head(t.Context())
		_, next := sub.Next(t.Context())
		for _, err := range []error{appending, head, next} {
			if !errors.Is(err, eventstore.ErrUnavailable) {
				t.Errorf("%v, want ErrUnavailable", err)
			}
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("it took %s to say so", took)
		}
	}
}

// A server that hangs is left for another connection.
func TestAServerThatHangsIsUnavailable(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t, 1)
	store := newStore(t, cluster.URL(), esdb.Options{Timeout: 100 * time.Millisecond})
	until(t, "there is a connection", phase(store, esdb.Connected))
	cluster.Delay(time.Minute)
	if _, err := store.Append(t.Context(), "a-1", eventstore.NoStream(), storetest.NewDraft("a.x")); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("Append = %v, want ErrUnavailable", err)
	}
	cluster.Delay(0)
	until(t, "it answers again", func() bool {
		_, err := store.Append(t.Context(), "a-2", eventstore.Any(), storetest.NewDraft("a.x"))
		return err == nil
	})
}

func TestAConnectionStringIsNotRepeated(t *testing.T) {
	t.Parallel()
	_, err := esdb.New("esdb://admin:hunter2@:2113:2113", esdb.Options{})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("New = %v, want an error without the password", err)
	}
}
