package system_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// metricsURL is where a server says that it serves its metrics.
func (s *node) metricsURL(tb testing.TB) string {
	tb.Helper()
	for line := range strings.Lines(s.stderr.String()) {
		var entry struct{ Msg, Metrics string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "serving" {
			return entry.Metrics
		}
	}
	tb.Fatalf("no address of the metrics in\n%s", s.stderr.String())
	return ""
}

// metrics is what a server tells of itself.
func (s *node) metrics(tb testing.TB) string {
	tb.Helper()
	answer, err := http.Get(s.metricsURL(tb))
	if err != nil {
		tb.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		tb.Fatalf("the metrics: %s (%v)", answer.Status, err)
	}
	return string(text)
}

// TestServersOnOneMachineEachServeTheirMetrics: the second of them finds the
// default port taken, and says where its metrics are instead.
func TestServersOnOneMachineEachServeTheirMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seen := map[string]bool{}
	for range 2 {
		s := w.serve(t, "METRICS_PORT=")
		url := s.metricsURL(t)
		if !strings.HasPrefix(url, "http://127.0.0.1:") || seen[url] {
			t.Errorf("the metrics are at %s", url)
		}
		seen[url] = true
		if text := s.metrics(t); !strings.Contains(text, "agentidp_ledger_position ") {
			t.Errorf("the metrics at %s are\n%s", url, text)
		}
		s.client.must(t, http.StatusNotFound, http.MethodGet, "/metrics", "", nil)
		if other := !strings.HasSuffix(url, ":9464/metrics"); other != strings.Contains(s.stderr.String(), "the port of /metrics is taken") {
			t.Errorf("the metrics are at %s, and the log says\n%s", url, s.stderr.String())
		}
	}
}

func TestTrustInProxiesIsWarnedOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const wide, unnamed = "TRUSTED_PROXIES trusts a wide range", "TRUSTED_PROXIES names no proxy"
	wary := w.serve(t, "TRUSTED_PROXIES=10.1.0.0/16,192.0.2.1/32,10.0.0.0/8,fd00::/8,2001:db8:1::/48")
	trusting := w.serve(t, "TRUSTED_PROXIES=127.0.0.1/32")
	bare := w.serve(t)
	for _, s := range []*node{wary, trusting, bare} {
		for range 2 {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.client.base+"/health/live", nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("X-Forwarded-For", "203.0.113.5")
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
		}
	}
	for _, tc := range []struct {
		s             *node
		wide, unnamed int
	}{{wary, 2, 0}, {trusting, 0, 0}, {bare, 0, 1}} {
		log := tc.s.stderr.String()
		if got := strings.Count(log, wide); got != tc.wide {
			t.Errorf("%d warnings of a wide range, want %d:\n%s", got, tc.wide, log)
		}
		if got := strings.Count(log, unnamed); got != tc.unnamed {
			t.Errorf("%d warnings of an unnamed proxy, want %d:\n%s", got, tc.unnamed, log)
		}
	}
}
