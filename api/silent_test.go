package api_test

import (
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/server/servertest"
)

// The event store's leader falls silent and another is elected: whatever is asked
// for then is answered as always, if a moment later. (How much later is told by
// TestASilentLeaderCostsNoRequestMoreThanThreeSeconds, in a time of its own.)
func TestASilentEventStoreIsPassedOver(t *testing.T) {
	t.Parallel()
	const patience = 30 * time.Second
	cluster, settings := servertest.ESDB(t, 3)
	s := newScene(t, settings...)
	n := s.tenant(t)
	form := func(path, token string) request {
		return request{method: http.MethodPost, path: path, token: n.token, form: url.Values{"token": {token}}}
	}
	for round := range 2 {
		asked, ended := s.token(t, n.agent, ""), s.token(t, n.agent, "")
		frozen := cluster.Node(round)
		frozen.Freeze()
		cluster.Lead(cluster.Node(round + 1))
		var all sync.WaitGroup
		for what, r := range map[string]request{
			"a token":            tokenRequest(n.agent, ""),
			"an introspection":   form("/oauth2/introspect", asked),
			"a revocation":       {method: http.MethodPost, path: "/oauth2/revoke", basic: &n.agent, form: url.Values{"token": {ended}}},
			"a read of an agent": get(n.token, n.path()),
			"a list of agents":   get(n.token, "/api/v1/agents"),
			"the trail":          get(n.token, "/api/v1/audit?limit=5"),
			"what an agent was":  get(n.token, "/api/v1/audit/state/"+n.id),
			"a change":           patch(n.token, n.path(), map[string]any{"version": "1.0." + strconv.Itoa(round+1)}),
		} {
			all.Go(func() {
				begin := time.Now()
				a, err := s.want(r, http.StatusOK, "")
				for a.status == http.StatusServiceUnavailable && time.Since(begin) < patience { // a busy machine finds the other leader late
					time.Sleep(100 * time.Millisecond)
					a, err = s.want(r, http.StatusOK, "")
				}
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
				t.Logf("%s took %s", what, time.Since(begin))
			})
		}
		all.Wait()
		if err := s.mustDie(ended); err != nil {
			t.Errorf("after its revocation: %v", err)
		}
		if err := frozen.Recover(); err != nil { // else the next round has no majority
			t.Fatal(err)
		}
	}
}
