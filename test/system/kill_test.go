package system_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/rounds"
)

// loadClients is how many clients ask for tokens at once.
const loadClients = 32

func TestKilledServerLosesNoTokenAndStartsAgain(t *testing.T) {
	t.Parallel()
	onEachEngine(t, killedLosesNoToken)
}

func killedLosesNoToken(t *testing.T, w *world) {
	const tokensARound = 300
	port := freePort(t)
	s := w.serveOn(t, port)
	tenants := []*tenant{s.tenant(t, w), s.tenant(t, w), s.tenant(t, w)}
	s.kill(t)

	var all []string
	for range w.fewer(rounds.Of(20)) {
		s := w.serveOn(t, port)
		load := askForTokens(t, s.client, tenants)
		await(t, fmt.Sprint(tokensARound, " tokens"), func(context.Context) error {
			if n := load.count(); n < tokensARound {
				return fmt.Errorf("%d tokens so far", n)
			}
			return nil
		})
		s.kill(t)
		all = append(all, load.end(t)...)
	}
	w.mustHoldInLedger(t, all)

	s = w.serveOn(t, port)
	s.healthy(t, patience)
	s.mustToken(t, tenants[0].agent, tenants[0].secret, "")
}

// tokenLoad is many clients that ask for tokens until the server is gone.
type tokenLoad struct {
	clients sync.WaitGroup

	mu       sync.Mutex // guards what follows
	tokens   []string
	refusals []reply
}

func askForTokens(tb testing.TB, c *client, tenants []*tenant) *tokenLoad {
	tb.Helper()
	load := &tokenLoad{}
	ctx := within(tb, patience)
	for i := range loadClients {
		who := tenants[i%len(tenants)]
		load.clients.Go(func() {
			for {
				r, err := c.token(ctx, who.agent, who.secret, "")
				if err != nil {
					return // the answer never arrived: the server is gone
				}
				load.take(r)
			}
		})
	}
	return load
}

func (l *tokenLoad) take(r reply) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.status == http.StatusOK {
		l.tokens = append(l.tokens, r.text("access_token"))
	} else {
		l.refusals = append(l.refusals, r)
	}
}

func (l *tokenLoad) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.tokens)
}

// end waits until all clients have noticed that the server is gone.
func (l *tokenLoad) end(tb testing.TB) []string {
	tb.Helper()
	l.clients.Wait()
	if len(l.refusals) > 0 {
		tb.Errorf("%d refusals, the first: %v", len(l.refusals), l.refusals[0])
	}
	return l.tokens
}

// A registration writes to three streams. The server is killed while one of
// them is being written, and what was written before stays behind.
func TestRegistrationThatWasCutOffSucceedsOnRetry(t *testing.T) {
	t.Parallel()
	for _, cutOffAt := range []string{"seat.taken", "agent.created"} {
		t.Run(cutOffAt, func(t *testing.T) {
			onEachOwnEngine(t, func(t *testing.T, w *world) { registrationSucceedsOnRetry(t, w, cutOffAt) })
		})
	}
}

func registrationSucceedsOnRetry(t *testing.T, w *world, cutOffAt string) {
	s := w.serve(t)
	// The first agent of the tenant has one of two seats, so a seat that
	// is lost or given twice shows.
	owner := s.tenantWith(t, w, map[string]any{"planTier": "enterprise", "maxAgents": 2})
	registration := owner.registration("cut-off")
	cutOff(t, w, s, "claim.made", cutOffAt, func(ctx context.Context) {
		_, _ = s.call(ctx, http.MethodPost, "/api/v1/agents", owner.operatorToken, registration)
	})

	s = w.serveOn(t, s.port)
	begin := time.Now()
	agent := s.must(t, http.StatusCreated, http.MethodPost, "/api/v1/agents", owner.operatorToken, registration).text("agentId")
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("the retry took %s, want a few seconds", took)
	}
	s.must(t, http.StatusConflict, http.MethodPost, "/api/v1/agents", owner.operatorToken, registration)
	list := s.must(t, http.StatusOK, http.MethodGet, "/api/v1/agents?organizationId="+owner.organization, owner.operatorToken, nil)
	if list.body["total"] != 2.0 {
		t.Errorf("agents of the organization: %v, want the first and the one registered", list)
	}
	if code := s.must(t, http.StatusForbidden, http.MethodPost, "/api/v1/agents", owner.operatorToken,
		owner.registration("one-too-many")).text("code"); code != "FREE_TIER_LIMIT_EXCEEDED" {
		t.Errorf("one agent more than there are seats: code %q, want FREE_TIER_LIMIT_EXCEEDED", code)
	}
	s.must(t, http.StatusNoContent, http.MethodDelete, "/api/v1/agents/"+agent, owner.operatorToken, nil)
	s.must(t, http.StatusCreated, http.MethodPost, "/api/v1/agents", owner.operatorToken, owner.registration("in-the-free-seat"))
	w.mustHoldInLedger(t, nil)
}

// With an Idempotency-Key the request that was cut off holds the key for a
// while: until it can be taken for dead, a retry is told that it is being
// worked on.
func TestIdempotentRegistrationThatWasCutOffSucceedsOnRetry(t *testing.T) {
	t.Parallel()
	onEachOwnEngine(t, idempotentRegistrationSucceedsOnRetry)
}

func idempotentRegistrationSucceedsOnRetry(t *testing.T, w *world) {
	const key, leaseAndMore = "registration-1", 45 * time.Second
	s := w.serve(t)
	owner := s.tenantWith(t, w, map[string]any{"planTier": "enterprise", "maxAgents": 2})
	registration := owner.registration("cut-off")
	cutOff(t, w, s, "claim.made", "agent.created", func(ctx context.Context) {
		_, _ = s.callOnce(ctx, key, http.MethodPost, "/api/v1/agents", owner.operatorToken, registration)
	})
	s = w.serveOn(t, s.port)
	begin := time.Now()
	var registered reply
	awaitWithin(t, leaseAndMore, "the retry to succeed", func(ctx context.Context) (err error) {
		registered, err = s.callOnce(ctx, key, http.MethodPost, "/api/v1/agents", owner.operatorToken, registration)
		if err == nil && registered.status == http.StatusConflict && registered.text("code") == "CONFLICT" {
			return fmt.Errorf("%v", registered)
		}
		return err
	})
	t.Logf("the retry succeeded after %s", time.Since(begin).Round(time.Millisecond))
	again, err := s.callOnce(within(t, patience), key, http.MethodPost, "/api/v1/agents", owner.operatorToken, registration)
	if err != nil || registered.status != http.StatusCreated || again.String() != registered.String() {
		t.Errorf("the retry got %v, once more it got %v (%v); want 201 and the same", registered, again, err)
	}
	list := s.must(t, http.StatusOK, http.MethodGet, "/api/v1/agents?organizationId="+owner.organization, owner.operatorToken, nil)
	if list.body["total"] != 2.0 {
		t.Errorf("agents of the organization: %v, want the first and the one registered", list)
	}
}

// cutOff kills a server while the last event that work leads to is being written,
// so that it never is. The first is on record by then.
func cutOff(t *testing.T, w *world, s *node, first, last string, work func(context.Context)) {
	t.Helper()
	hold := w.holdPostgres
	if w.eventStore != nil {
		hold = w.holdEventStore
	}
	arrived, over := hold(t, last)
	ctx := within(t, patience)
	var working sync.WaitGroup
	working.Go(func() { work(ctx) })
	arrived()
	s.kill(t)
	working.Wait()
	over()
	count := map[string]int{}
	for event, err := range w.openStore(t).ReadAll(within(t, patience), 0, eventstore.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if count[event.Type]++; event.Type == "credential.generated" {
			clear(count) // what work leads to comes after the last
		}
	}
	if count[first] != 1 || count[last] != 0 {
		t.Fatalf("%v were written, want one %s and no %s: the server was not cut off there", count, first, last)
	}
}
