package ledger_test

import (
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/esdb/model"
	"github.com/sentryagent/agentidp/eventstore/esdb/modelwire"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// What a token, an exchange and an introspection ask of an EventStoreDB, and how long that
// takes where each call takes a while: so many calls one after another.
func TestCallsOfTokensAndAnIntrospection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, err := model.New(model.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Close)
		var mu sync.Mutex // guards calls
		calls := map[string]int{}
		take := func() map[string]int {
			mu.Lock()
			defer mu.Unlock()
			taken := maps.Clone(calls)
			clear(calls)
			return taken
		}
		const each = time.Millisecond
		store := esdb.NewOn(&modelwire.Dialer{Cluster: cluster, Called: func(call string) {
			mu.Lock()
			calls[call]++
			mu.Unlock()
			if call != "follow" && call != "dial" {
				time.Sleep(each)
			}
		}}, esdb.Options{})
		t.Cleanup(store.Close)
		const clients = 64
		w := newWorld(t, store, clients+3)
		revocations := revocation.New(store, revocation.Options{})
		l := ledger.New(store, nil, revocations, ledger.Options{})
		agents := make([]domain.AgentID, clients)
		token := func(n int) {
			if _, err := issueToken(t.Context(), l, agents[n], issue()); err != nil {
				t.Error(err)
			}
		}
		for n := range agents {
			agents[n] = w.register(t, fmt.Sprintf("a%d@example.com", n)).ID
			w.credential(t, agents[n])
			token(n)
		}
		_, to, link := w.lend(t, "lent@example.com")
		exchanged := func() {
			seen, err := revocations.Sync(t.Context())
			if err != nil {
				t.Error(err)
			}
			if _, err := exchange(t.Context(), l, seen, link, w.exchange(to)); err != nil {
				t.Error(err)
			}
		}
		exchanged()
		settle := func() {
			for range 2 { // the barrier has its bound, and its own record is known
				time.Sleep(2 * time.Second)
				if _, err := revocations.Sync(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		settle()
		token(0)
		expect := func(what string, want map[string]int, rounds int, do func()) {
			t.Helper()
			take()
			begin := time.Now()
			do()
			if took := time.Since(begin); took != time.Duration(rounds)*each {
				t.Errorf("%s takes %s, want %d calls one after another", what, took, rounds)
			}
			if diff := cmp.Diff(want, take()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		expect("a token", map[string]int{"all": 1, "append": 1}, 2, func() { token(0) })
		expect("a check of a token", map[string]int{"all": 1}, 1, func() {
			if _, err := revocations.Sync(t.Context()); err != nil {
				t.Error(err)
			}
		})
		// Who comes while one is asked for waits for the next.
		take()
		atOnce(clients, func(int) { _, _ = revocations.Sync(t.Context()) })
		if shared := take()["all"]; shared > 2 {
			t.Errorf("%d checks at once took %d calls, want 2 at most", clients, shared)
		}
		const rounds = 10
		take()
		atOnce(clients, func(n int) {
			for range rounds {
				token(n)
			}
		})
		all := 0
		for _, n := range take() {
			all += n
		}
		if most := clients * rounds * 11 / 10; all > most {
			t.Errorf("%d tokens of %d clients at once took %d calls, want %d at most", clients*rounds, clients, all, most)
		}
		settle()
		token(0)
		if _, err := revocations.Sync(t.Context()); err != nil {
			t.Error(err)
		}
		expect("an exchange", map[string]int{"all": 1, "append": 1}, 2, exchanged)
	})
}

func atOnce(n int, do func(int)) {
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { do(i) })
	}
	group.Wait()
}
