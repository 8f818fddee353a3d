package system_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"testing"

	"github.com/sentryagent/agentidp/eventstore"
)

// A command whose read model stands still is done, and says so in time; who
// repeats it under its key gets its answer, and nothing is made twice.
func TestACommandDoesNotWaitForeverForAReadModel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "READ_WAIT_TIMEOUT_MS=1000")
	s := w.serve(t)
	owner := s.tenant(t, w)
	pool := w.superuser(t)
	body := owner.registration("late")
	register := func(want int) reply {
		t.Helper()
		r, err := s.callOnce(within(t, patience), "key-of-the-late-one", http.MethodPost, "/api/v1/agents", owner.operatorToken, body)
		if err != nil || r.status != want {
			t.Fatalf("got %v, %v; want %d", r, err, want)
		}
		return r
	}

	release := hold(t, pool, `BEGIN; LOCK TABLE agents IN SHARE MODE`)
	behind := register(http.StatusServiceUnavailable)
	details, _ := behind.body["details"].(map[string]any)
	position, _ := details["position"].(float64)
	if behind.text("code") != "READ_MODEL_BEHIND" || behind.header.Get("Retry-After") == "" || position == 0 ||
		behind.header.Get("X-Ledger-Position") != strconv.FormatInt(int64(position), 10) {
		t.Errorf("%v %v, want READ_MODEL_BEHIND with Retry-After and the position in both places", behind, behind.header)
	}
	head := w.head(t)
	release()
	await(t, "the read model", func(ctx context.Context) error {
		r, err := s.call(ctx, http.MethodGet, "/api/v1/agents?minPosition="+behind.header.Get("X-Ledger-Position"), owner.operatorToken, nil)
		if err == nil && r.status != http.StatusOK {
			err = fmt.Errorf("%v", r)
		}
		return err
	})
	first := register(http.StatusCreated)
	again := register(http.StatusCreated)
	if first.text("agentId") == "" || first.text("agentId") != again.text("agentId") {
		t.Errorf("first %v, then %v", first, again)
	}
	if after := w.head(t); after != head {
		t.Errorf("repeating it wrote to the ledger: from %d to %d", head, after)
	}
	s.must(t, http.StatusOK, http.MethodGet, "/api/v1/agents/"+first.text("agentId"), owner.operatorToken, nil)
}

// head is the position of the newest event.
func (w *world) head(t *testing.T) eventstore.Position {
	t.Helper()
	ledger := w.open(t)
	defer ledger.Close() // tests ask often
	head, err := ledger.Store.Head(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	return head
}
