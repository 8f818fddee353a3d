package system_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestPostgresRestartedUnderLoadIsSurvived(t *testing.T) {
	t.Parallel()
	w, services := newPrivateWorld(t)
	s := w.serve(t)
	owner := s.tenant(t, w)
	load := startMixedLoad(t, s.client, owner)
	load.awaitMore(t, 50)
	for range 2 {
		if err := services.RestartPostgres(within(t, patience)); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		load.awaitMore(t, 50)
		t.Logf("every kind of request succeeds again %s after PostgreSQL answers", time.Since(begin).Round(time.Millisecond))
	}
	load.end(t)
	load.mustHaveBeenTold(t)
	s.mustHaveKnown(t)
	s.healthy(t, patience)
	// Writing works again, and what was written while it did not is not lost.
	s.must(t, http.StatusCreated, http.MethodPost, "/api/v1/agents", owner.operatorToken, owner.registration("after-the-restart"))
	w.mustHoldInLedger(t, load.tokens)
}

// mustHaveKnown looks for what the server could not explain.
func (s *node) mustHaveKnown(tb testing.TB) {
	tb.Helper()
	for line := range strings.Lines(s.stderr.String()) {
		if strings.Contains(line, `"msg":"internal error"`) {
			tb.Errorf("the server was at a loss: %s", line)
			break
		}
	}
}

func TestRedisGoneIsNoTroubleForTokensAndReads(t *testing.T) {
	t.Parallel()
	w, services := newPrivateWorld(t)
	s := w.serve(t)
	// With a quota, so that Redis has something to do.
	owner := s.tenantWith(t, w, map[string]any{"planTier": "free", "maxTokensPerMonth": 1_000_000})
	load := startMixedLoad(t, s.client, owner)
	load.awaitMore(t, 50)
	if err := services.StopRedis(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	load.awaitMore(t, 50)
	if got := s.must(t, http.StatusOK, http.MethodGet, "/health", "", nil); got.text("status") != "degraded" {
		t.Errorf("/health without Redis: %v, want degraded", got)
	}
	// Revoked is revoked, with and without Redis.
	token := s.mustToken(t, owner.agent, owner.secret, "")
	r, err := s.form(within(t, patience), "/oauth2/revoke", owner.agent, owner.secret, map[string][]string{"token": {token}})
	if err != nil || r.status != http.StatusOK {
		t.Fatalf("revoke without Redis: got %v, %v; want 200", r, err)
	}
	s.must(t, http.StatusUnauthorized, http.MethodGet, "/api/v1/agents", token, nil)
	if err := services.StartRedis(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	load.awaitMore(t, 50)
	flushRedis(t, services.RedisURL)
	load.awaitMore(t, 50)
	s.healthy(t, patience)
	s.must(t, http.StatusUnauthorized, http.MethodGet, "/api/v1/agents", token, nil)
	load.end(t)
	for kind, answers := range load.refusals {
		t.Errorf("%s was refused %d times, the first: %v", kind, len(answers), answers[0])
	}
	w.mustHoldInLedger(t, load.tokens)
}

func flushRedis(tb testing.TB, redisURL string) {
	tb.Helper()
	options, err := redis.ParseURL(redisURL)
	if err != nil {
		tb.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	if err := client.FlushAll(within(tb, patience)).Err(); err != nil {
		tb.Fatal(err)
	}
}

// mixedLoad is clients that issue tokens and read, until they are told to end.
type mixedLoad struct {
	clients sync.WaitGroup
	ended   chan struct{}

	mu       sync.Mutex     // guards what follows
	answers  map[string]int // of success, by kind
	refusals map[string][]reply
	lost     []error // requests that got no answer
	tokens   []string
}

const (
	kindToken      = "token"
	kindList       = "list agents"
	kindGet        = "get agent"
	kindAudit      = "audit trail"
	kindIntrospect = "introspection"
)

func startMixedLoad(tb testing.TB, c *client, who *tenant) *mixedLoad {
	tb.Helper()
	l := &mixedLoad{ended: make(chan struct{}), answers: map[string]int{}, refusals: map[string][]reply{}}
	ctx := within(tb, 2*patience)
	mine, err := c.token(ctx, who.agent, who.secret, "")
	if err != nil || mine.status != http.StatusOK {
		tb.Fatalf("token: %v, %v", mine, err)
	}
	bearer := mine.text("access_token")
	get := func(path string) func() (reply, error) {
		return func() (reply, error) { return c.call(ctx, http.MethodGet, path, bearer, nil) }
	}
	for kind, work := range map[string]struct {
		clients int
		ask     func() (reply, error)
	}{
		kindToken: {12, func() (reply, error) { return c.token(ctx, who.agent, who.secret, "") }},
		kindGet:   {3, get("/api/v1/agents/" + who.agent)},
		kindList:  {2, get("/api/v1/agents")},
		kindAudit: {2, get("/api/v1/audit?limit=5")},
		kindIntrospect: {2, func() (reply, error) {
			return c.form(ctx, "/oauth2/introspect", who.agent, who.secret, map[string][]string{"token": {bearer}})
		}},
	} {
		for range work.clients {
			l.clients.Go(func() { l.keepAsking(kind, work.ask) })
		}
	}
	return l
}

func (l *mixedLoad) keepAsking(kind string, ask func() (reply, error)) {
	for {
		select {
		case <-l.ended:
			return
		default:
		}
		r, err := ask()
		l.take(kind, r, err)
		if err != nil {
			return
		}
	}
}

func (l *mixedLoad) take(kind string, r reply, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil:
		l.lost = append(l.lost, fmt.Errorf("%s: %w", kind, err))
	case r.status != http.StatusOK:
		l.refusals[kind] = append(l.refusals[kind], r)
	default:
		l.answers[kind]++
		if kind == kindToken {
			l.tokens = append(l.tokens, r.text("access_token"))
		}
		if kind == kindIntrospect && !strings.Contains(string(r.raw), `"active":true`) {
			l.refusals[kind] = append(l.refusals[kind], r)
		}
	}
}

// awaitMore waits until every kind of request has succeeded some times more.
func (l *mixedLoad) awaitMore(tb testing.TB, more int) {
	tb.Helper()
	before := l.counts()
	await(tb, fmt.Sprintf("%d answers more of every kind", more), func(context.Context) error {
		now := l.counts()
		for i := range now {
			if now[i]-before[i] < more {
				return fmt.Errorf("answers before %v, now %v", before, now)
			}
		}
		return nil
	})
}

// awaitRefusal waits until a request is refused.
func (l *mixedLoad) awaitRefusal(tb testing.TB) {
	tb.Helper()
	refused := func() (n int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, answers := range l.refusals {
			n += len(answers)
		}
		return n
	}
	before := refused()
	await(tb, "a refusal", func(context.Context) error {
		if refused() == before {
			return fmt.Errorf("%d so far", before)
		}
		return nil
	})
}

func (l *mixedLoad) counts() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	var counts []int
	for _, kind := range []string{kindToken, kindGet, kindList, kindAudit, kindIntrospect} {
		counts = append(counts, l.answers[kind])
	}
	return slices.Clip(counts)
}

func (l *mixedLoad) end(tb testing.TB) {
	tb.Helper()
	close(l.ended)
	l.clients.Wait()
	for _, err := range l.lost {
		tb.Errorf("a request got no answer: %v", err)
	}
}

// mustHaveBeenTold looks for refusals that did not say to come again.
func (l *mixedLoad) mustHaveBeenTold(tb testing.TB) {
	tb.Helper()
	for kind, answers := range l.refusals {
		for _, r := range answers {
			if r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" {
				tb.Errorf("%s meanwhile: got %v with Retry-After %q, want 503 with one", kind, r, r.header.Get("Retry-After"))
				break
			}
		}
		tb.Logf("%s: %d answers, %d refusals", kind, l.answers[kind], len(answers))
	}
}
