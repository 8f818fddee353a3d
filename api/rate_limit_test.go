package api_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/internal/pgtest"
)

func TestOf300RequestsAtOnceOverTwoNodesExactly100Pass(t *testing.T) {
	t.Parallel()
	s := newScene(t, "RATE_LIMIT_MAX_REQUESTS=100")
	nodes := []*server{s.server, s.another(t)}
	a := s.agent(t, s.organization(t, nil), "agents:read")
	token := s.token(t, a, "")
	before := time.Now()
	counts := tally(t, 300, func(i int) (answer, error) {
		response, err := nodes[i%2].do(get(token, aRead))
		if err != nil {
			return response, err
		}
		return response, checkWindow(response, 100, before)
	})
	wantTally(t, counts, map[string]int{"200": 100, "429 RATE_LIMIT_EXCEEDED": 200})

	other := s.agent(t, a.organization, "agents:read")
	s.must(t, get(s.token(t, other, ""), aRead), 200, "")
	metrics := string(nodes[0].must(t, get("", "/metrics"), 200, "").body) + string(nodes[1].must(t, get("", "/metrics"), 200, "").body)
	if !strings.Contains(metrics, `agentidp_rate_limit_hits_total{scope="client"} `) || !strings.Contains(metrics, "agentidp_rate_limit_local 0") {
		t.Error("the metrics do not tell")
	}
}

// A Redis that dies half way costs no request and gives nobody more than each
// node's own share.
func TestRedisKilledHalfWay(t *testing.T) {
	t.Parallel()
	services := pgtest.Private(t)
	s := newScene(t, "REDIS_URL="+services.RedisURL, "RATE_LIMIT_MAX_REQUESTS=100", "TIER_ENFORCEMENT=true")
	nodes := []*server{s.server, s.another(t)}
	a := s.agent(t, s.organization(t, map[string]any{"planTier": "free"}), "agents:read")
	token := s.token(t, a, "")
	read := func(i int) (answer, error) { return nodes[i%2].do(get(token, aRead)) }
	wantTally(t, tally(t, 60, read), map[string]int{"200": 60})
	s.checkRateLimiter(t, nodes, 200, "shared", "agentidp_rate_limit_local 0")

	if err := services.StopRedis(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Each node has let 30 through and has 70 left of a share of its own.
	wantTally(t, tally(t, 300, read), map[string]int{"200": 140, "429 RATE_LIMIT_EXCEEDED": 160})
	s.must(t, tokenRequest(a, ""), 200, "")
	s.checkRateLimiter(t, nodes, 207, "in-process", "agentidp_rate_limit_local 1")

	if err := services.StartRedis(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, func() error {
		for _, node := range nodes {
			if _, err := node.want(get("", "/health/detailed"), 200, ""); err != nil {
				return err
			}
		}
		return nil
	})
	wantTally(t, tally(t, 100, read), map[string]int{"429 RATE_LIMIT_EXCEEDED": 100})
}

func (s *scene) checkRateLimiter(t *testing.T, nodes []*server, status int, mode, gauge string) {
	t.Helper()
	for _, node := range nodes {
		dependencies, _ := node.must(t, get("", "/health/detailed"), status, "").object()["dependencies"].(map[string]any)
		if limiter, _ := dependencies["rateLimiter"].(map[string]any); limiter["mode"] != mode {
			t.Errorf("/health/detailed says %v, want the mode %s", dependencies, mode)
		}
		if metrics := node.must(t, get("", "/metrics"), 200, ""); !strings.Contains(string(metrics.body), gauge) {
			t.Errorf("the metrics do not have %s", gauge)
		}
	}
}

func TestDetailedHealth(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	health := s.must(t, get("", "/health/detailed"), 200, "")
	names := texts(health.list("projections"), "name")
	for _, want := range []string{"organizations", "agents", "credentials", "audit", "activity"} {
		if !slices.Contains(names, want) {
			t.Errorf("projections %v lack %s", names, want)
		}
	}
	if health.text("status") != "healthy" || health.number("ledgerPosition") == 0 {
		t.Errorf("got %s", health.body)
	}
}

func TestTokensAreLimitedByClient(t *testing.T) {
	t.Parallel()
	s := newScene(t, "RATE_LIMIT_MAX_REQUESTS=100")
	nodes := []*server{s.server, s.another(t)}
	a := s.agent(t, s.organization(t, nil), "agents:read")
	before := time.Now()
	counts := tally(t, 150, func(i int) (answer, error) {
		response, err := nodes[i%2].do(tokenRequest(a, ""))
		if err != nil {
			return response, err
		}
		return response, checkWindow(response, 100, before)
	})
	wantTally(t, counts, map[string]int{"200": 100, "429 temporarily_unavailable": 50})
}

func TestVerificationIsLimitedTo30AMinute(t *testing.T) {
	t.Parallel()
	s := newScene(t, "RATE_LIMIT_MAX_REQUESTS=1000")
	nodes := []*server{s.server, s.another(t)}
	a := s.agent(t, s.organization(t, nil), "audit:read")
	token := s.token(t, a, "")
	before := time.Now()
	counts := tally(t, 40, func(i int) (answer, error) {
		response, err := nodes[i%2].do(get(token, "/api/v1/audit/verify"))
		if err != nil {
			return response, err
		}
		return response, checkWindow(response, 30, before)
	})
	wantTally(t, counts, map[string]int{"200": 30, "429 RATE_LIMIT_EXCEEDED": 10})
	s.must(t, get(token, "/api/v1/audit"), 200, "")
}

func TestWhatIsNeverLimited(t *testing.T) {
	t.Parallel()
	s := newScene(t, "RATE_LIMIT_MAX_REQUESTS=1")
	for _, path := range []string{"/health", "/health/live", "/health/detailed", "/metrics", "/openapi.json", "/docs", "/.well-known/jwks.json", "/.well-known/openid-configuration"} {
		for range 5 {
			if a := s.must(t, get("", path), 200, ""); a.header.Get("X-RateLimit-Limit") != "" {
				t.Errorf("%s is limited", path)
			}
		}
	}
}

// BenchmarkAuthorizedRead is a read at 64 clients, of a server without limits
// and of one with limits, in short turns, so that whatever else the machine does
// meets both alike. It reports the median of each and what the limits add.
func BenchmarkAuthorizedRead(b *testing.B) {
	const clients = 64
	var reads [2]*http.Request
	for i, settings := range [][]string{
		{"RATE_LIMIT_MAX_REQUESTS=0", "TIER_ENFORCEMENT=false"},
		{"RATE_LIMIT_MAX_REQUESTS=10000", "RATE_LIMIT_WINDOW_MS=1000", "TIER_ENFORCEMENT=true"},
	} {
		s := newScene(b, settings...)
		a := s.agent(b, s.organization(b, map[string]any{"maxCallsPerDay": 100_000_000}), "agents:read")
		read, err := get(s.token(b, a, ""), a.path()).build(s.base)
		if err != nil {
			b.Fatal(err)
		}
		reads[i] = read
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	ask := func(read *http.Request) (time.Duration, error) {
		start := time.Now()
		response, err := client.Do(read.Clone(b.Context()))
		if err != nil {
			return 0, err
		}
		defer response.Body.Close()
		if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
			return 0, fmt.Errorf("%s: %w", response.Status, err)
		}
		return time.Since(start), nil
	}
	var took [2][]time.Duration
	const each = 20 // reads of a client in one turn
	for turn := 0; b.Loop(); turn = 1 - turn {
		durations := make([]time.Duration, clients*each)
		parallel(b, clients, func(i int) (err error) {
			for j := range each {
				if durations[i*each+j], err = ask(reads[turn]); err != nil {
					return err
				}
			}
			return nil
		})
		took[turn] = append(took[turn], durations...)
	}
	median := func(d []time.Duration) float64 {
		slices.Sort(d)
		return float64(d[len(d)/2].Microseconds())
	}
	if len(took[1]) > 0 {
		without, with := median(took[0]), median(took[1])
		b.ReportMetric(without, "µs-without")
		b.ReportMetric(with, "µs-with")
		b.ReportMetric(100*(with/without-1), "%-added")
	}
}
