package api_test

import (
	"fmt"
	"strings"
	"testing"
)

// Every exchange counts once for the tier of the organization: as many tokens
// as it may have are issued, however many ask at the same time.
func TestEveryExchangeIsAdmittedOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t, append(unlimited, "TIER_ENFORCEMENT=true")...)
	organization := s.organization(t, map[string]any{"planTier": "free", "maxTokensPerDay": 42})
	from, to := s.agent(t, organization, "agents:read"), s.agent(t, organization, "agents:read")
	ofFrom, ofTo := s.token(t, from, ""), s.token(t, to, "") // two of the 42
	l := s.delegate(t, ofFrom, delegationWish(to, "agents:read"))
	counts := tally(t, 100, func(int) (answer, error) { return s.do(exchangeRequest(ofTo, l.token, "")) })
	wantTally(t, counts, map[string]int{"200": 40, "429 temporarily_unavailable": 60})
	metrics := string(s.must(t, get("", "/metrics"), 200, "").body)
	for _, line := range []string{
		"agentidp_rate_limit_hits_total{scope=\"tier_tokens\"} 60\n",
		"agentidp_http_requests_total{method=\"POST\",route=\"/oauth2/token\",status_code=\"429\"} 60\n",
	} {
		if !strings.Contains(metrics, line) {
			t.Errorf("the metrics lack %s", line)
		}
	}
	until(t, func() error {
		status, err := s.want(get(s.operator, "/api/v1/tiers/status?organizationId="+organization), 200, "")
		if err != nil {
			return err
		}
		if usage, _ := status.object()["usage"].(map[string]any); usage["tokensToday"] != 42. {
			return fmt.Errorf("usage %v, want 42 tokens", usage)
		}
		return nil
	})
}
