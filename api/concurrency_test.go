package api_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sentryagent/agentidp/internal/devservices"
	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/internal/rounds"
)

// outcomes sends requests at the same time and counts the answers by status
// and code.
func outcomes(tb testing.TB, s *server, requests []request) map[string]int {
	tb.Helper()
	var mu sync.Mutex // guards counts
	counts := map[string]int{}
	parallel(tb, len(requests), func(i int) error {
		a, err := s.do(requests[i])
		mu.Lock()
		defer mu.Unlock()
		counts[strings.TrimSpace(fmt.Sprint(a.status, " ", a.code()))]++
		return err
	})
	return counts
}

func TestFiftyRegistrationsWithOneEmailMakeOneAgent(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	organization := s.organization(t, nil)
	body := newAgentBody(organization, "")
	requests := make([]request, 50)
	for i := range requests {
		own := maps.Clone(body)
		if i%2 == 1 {
			own["email"] = strings.ToUpper(body["email"].(string)) // the same address
		}
		requests[i] = post(s.operator, "/api/v1/agents", own)
	}
	got := outcomes(t, s.server, requests)
	if want := map[string]int{"201": 1, "409 AGENT_ALREADY_EXISTS": 49}; !maps.Equal(got, want) {
		t.Errorf("answers %v, want %v", got, want)
	}
	if total := s.must(t, get(s.operator, "/api/v1/agents?organizationId="+organization), 200, "").number("total"); total != 1 {
		t.Errorf("%v agents, want 1", total)
	}
}

func TestRoomForTenAgentsTakesTen(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	organization := s.organization(t, map[string]any{"planTier": "free"})
	requests := make([]request, 50)
	for i := range requests {
		requests[i] = post(s.operator, "/api/v1/agents", newAgentBody(organization, ""))
	}
	got := outcomes(t, s.server, requests)
	if want := map[string]int{"201": 10, "403 FREE_TIER_LIMIT_EXCEEDED": 40}; !maps.Equal(got, want) {
		t.Errorf("answers %v, want %v", got, want)
	}
	agents := s.must(t, get(s.operator, "/api/v1/agents?organizationId="+organization), 200, "")
	if agents.number("total") != 10 {
		t.Errorf("%v agents, want 10", agents.number("total"))
	}
	refused := requests[0]
	refused.json = newAgentBody(organization, "")
	s.must(t, refused, 403, "FREE_TIER_LIMIT_EXCEEDED")
	s.must(t, remove(s.operator, "/api/v1/agents/"+agents.list("data")[0]["agentId"].(string)), 204, "")
	s.must(t, refused, 201, "") // the very request that was refused: nothing was left behind
	s.must(t, patch(s.operator, "/api/v1/organizations/"+organization, map[string]any{"maxAgents": 11}), 200, "")
	s.must(t, post(s.operator, "/api/v1/agents", newAgentBody(organization, "")), 201, "")
	s.must(t, post(s.operator, "/api/v1/agents", newAgentBody(organization, "")), 403, "FREE_TIER_LIMIT_EXCEEDED")
}

func TestFiftyOrganizationsWithOneSlugAreOne(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	requests := make([]request, 50)
	slug := "acme-" + unique()
	for i := range requests {
		requests[i] = post(s.operator, "/api/v1/organizations", map[string]any{"name": "Acme", "slug": slug})
	}
	got := outcomes(t, s.server, requests)
	if want := map[string]int{"201": 1, "409 ORG_SLUG_TAKEN": 49}; !maps.Equal(got, want) {
		t.Errorf("answers %v, want %v", got, want)
	}
}

func TestNoUpdateIsLost(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "")
	tag := s.must(t, get(s.operator, a.path()), 200, "").header.Get("ETag")
	requests := make([]request, 20)
	for i := range requests {
		requests[i] = patch(s.operator, a.path(), map[string]any{"owner": fmt.Sprintf("team-%d", i)}).with("If-Match", tag)
	}
	got := outcomes(t, s.server, requests)
	if want := map[string]int{"200": 1, "412 PRECONDITION_FAILED": 19}; !maps.Equal(got, want) {
		t.Errorf("answers %v, want %v", got, want)
	}
}

func TestIfMatchGuardsChanges(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "")
	first := s.must(t, get(s.operator, a.path()), 200, "").header.Get("ETag")
	changed := s.must(t, patch(s.operator, a.path(), map[string]any{"owner": "second"}).with("If-Match", first), 200, "")
	second := changed.header.Get("ETag")
	if second == first || second != s.must(t, get(s.operator, a.path()), 200, "").header.Get("ETag") {
		t.Errorf("ETag %s, then %s", first, second)
	}
	for _, stale := range []string{first, `"0"`, `"nonsense"`, "nonsense", `"1", "0"`, `"` + strings.Repeat("9", 30) + `"`} {
		s.must(t, patch(s.operator, a.path(), map[string]any{"owner": "third"}).with("If-Match", stale), 412, "PRECONDITION_FAILED")
	}
	if owner := s.must(t, get(s.operator, a.path()), 200, "").text("owner"); owner != "second" {
		t.Errorf("owner %q, want second", owner)
	}
	s.token(t, a, "") // being seen is no change
	s.must(t, patch(s.operator, a.path(), map[string]any{"owner": "third"}).with("If-Match", `"77", `+second), 200, "")
	s.must(t, patch(s.operator, a.path(), map[string]any{"owner": "fourth"}).with("If-Match", "*"), 200, "")
	s.must(t, patch(s.operator, a.path(), map[string]any{"owner": "fifth"}), 200, "")
}

// end is a way to make a token, and perhaps the credential or the agent behind
// it, worth nothing. It is done at one server and must hold at once at all.
type end struct {
	name    string
	do      func(s *server, operator string, a agent, token string) error
	secret  bool // the secret is dead too
	restore func(s *server, operator string, a *agent) error
}

func addCredential(s *server, operator string, a *agent) (err error) {
	a.credential, a.secret, err = s.newCredential(operator, *a)
	return err
}

func setStatus(s *server, operator string, a agent, status string) error {
	_, err := s.want(patch(operator, a.path(), map[string]any{"status": status}), 200, "")
	return err
}

var (
	revokeCredential = end{name: "revoke", secret: true, restore: addCredential,
		do: func(s *server, operator string, a agent, _ string) error {
			_, err := s.want(remove(operator, a.path()+"/credentials/"+a.credential), 204, "")
			return err
		}}
	rotateCredential = end{name: "rotate", secret: true,
		do: func(s *server, operator string, a agent, _ string) error {
			_, err := s.want(post(operator, a.path()+"/credentials/"+a.credential+"/rotate", map[string]any{}), 200, "")
			return err
		},
		restore: func(s *server, operator string, a *agent) error {
			rotated, err := s.want(post(operator, a.path()+"/credentials/rotate", map[string]any{}), 200, "")
			a.secret = rotated.text("clientSecret")
			return err
		}}
	suspendAgent = end{name: "suspend", secret: true,
		do: func(s *server, operator string, a agent, _ string) error {
			return setStatus(s, operator, a, "suspended")
		},
		restore: func(s *server, operator string, a *agent) error { return setStatus(s, operator, *a, "active") }}
	suspendAndReactivate = end{name: "suspend and reactivate",
		do: func(s *server, operator string, a agent, _ string) error {
			if err := setStatus(s, operator, a, "suspended"); err != nil {
				return err
			}
			return setStatus(s, operator, a, "active")
		}}
	suspendOrganization = end{name: "suspend organization", secret: true,
		do: func(s *server, operator string, a agent, _ string) error {
			_, err := s.want(patch(operator, "/api/v1/organizations/"+a.organization, map[string]any{"status": "suspended"}), 200, "")
			return err
		},
		restore: func(s *server, operator string, a *agent) error {
			_, err := s.want(patch(operator, "/api/v1/organizations/"+a.organization, map[string]any{"status": "active"}), 200, "")
			return err
		}}
	revokeToken = end{name: "revoke token",
		do: func(s *server, _ string, a agent, token string) error {
			_, err := s.want(request{method: http.MethodPost, path: "/oauth2/revoke", basic: &a, form: url.Values{"token": {token}}}, 200, "")
			return err
		}}
	decommission = end{name: "decommission", secret: true,
		do: func(s *server, operator string, a agent, _ string) error {
			_, err := s.want(remove(operator, a.path()), 204, "")
			return err
		}}
)

// round lets an agent use a token at b, ends it at a, and then finds it ended at b.
func (e end) round(a, b *server, operator string, who *agent) error {
	issued, err := b.want(tokenRequest(*who, ""), 200, "")
	if err != nil {
		return err
	}
	token := issued.text("access_token")
	if _, err := b.want(get(token, "/api/v1/agents?limit=1"), 200, ""); err != nil {
		return fmt.Errorf("before the end: %w", err)
	}
	if err := e.do(a, operator, *who, token); err != nil {
		return err
	}
	if err := b.mustDie(token); err != nil {
		return fmt.Errorf("the old token lives on: %w", err)
	}
	if e.secret {
		if _, err := b.want(tokenRequest(*who, ""), 401, "invalid_client"); err != nil {
			return fmt.Errorf("a token was issued on the old state: %w", err)
		}
	}
	if e.restore == nil {
		return nil
	}
	return e.restore(a, operator, who)
}

const walkers = 4 // agents that go round at the same time

// rounds goes round n times, with several agents at the same time; each round
// swaps the servers, and before runs ahead of it.
func (e end) rounds(t *testing.T, s *scene, other *server, organization string, n int, before func() error) {
	t.Helper()
	var left atomic.Int64
	left.Store(int64(n))
	parallel(t, walkers, func(int) error {
		who, err := s.newAgent(organization, "agents:read")
		if err != nil {
			return err
		}
		for i := left.Add(-1); i >= 0; i = left.Add(-1) {
			if err := before(); err != nil {
				return err
			}
			servers := []*server{s.server, other}
			if i%2 == 1 {
				slices.Reverse(servers)
			}
			if err := e.round(servers[0], servers[1], s.operator, &who); err != nil {
				return fmt.Errorf("%s, round %d: %w", e.name, int64(n)-i, err)
			}
		}
		return nil
	})
}

func nothing() error { return nil }

func TestRevocationHoldsAtOnceOnEveryServer(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	other := s.another(t)
	organization := s.organization(t, nil)
	revokeCredential.rounds(t, s, other, organization, rounds.Of(1000), nothing)
	for _, e := range []end{rotateCredential, suspendAgent, suspendAndReactivate, revokeToken} {
		e.rounds(t, s, other, organization, rounds.Of(100), nothing)
	}
	for i := range rounds.Of(20) {
		who := s.agent(t, organization, "agents:read")
		for _, e := range []end{suspendOrganization, decommission} {
			if err := e.round(s.server, other, s.operator, &who); err != nil {
				t.Fatalf("%s, round %d: %v", e.name, i, err)
			}
		}
	}
}

// onOwnRedis starts a world whose Redis nobody else uses.
func onOwnRedis(t *testing.T) (*scene, *devservices.Services) {
	t.Helper()
	services := pgtest.Private(t)
	return newScene(t, "REDIS_URL="+services.RedisURL), services
}

func TestFlushingRedisBringsNothingBack(t *testing.T) {
	t.Parallel()
	s, services := onOwnRedis(t)
	other := s.another(t)
	options, err := redis.ParseURL(services.RedisURL)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	counted := s.countedOrganization(t)
	flush := func() error { return client.FlushAll(context.WithoutCancel(t.Context())).Err() }
	for _, e := range []end{revokeCredential, revokeToken, suspendAgent} {
		counting := e
		counting.do = func(s *server, operator string, a agent, token string) error {
			if err := e.do(s, operator, a, token); err != nil {
				return err
			}
			return flush()
		}
		counting.rounds(t, s, other, counted, rounds.Of(200), flush)
	}
}

func TestLosingRedisBringsNothingBack(t *testing.T) {
	t.Parallel()
	s, services := onOwnRedis(t)
	other := s.another(t)
	who := s.agent(t, s.countedOrganization(t), "agents:read")
	token := s.token(t, who, "")
	if err := revokeCredential.do(s.server, s.operator, who, token); err != nil {
		t.Fatal(err)
	}
	if err := services.StopRedis(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, server := range []*server{s.server, other} {
		if err := server.mustDie(token); err != nil {
			t.Errorf("revoked before Redis went: %v", err)
		}
	}
	organization := s.organization(t, nil)
	for _, e := range []end{revokeCredential, revokeToken, suspendAgent} {
		e.rounds(t, s, other, organization, rounds.Of(200), nothing)
	}
	revokeCredential.rounds(t, s, other, s.countedOrganization(t), 40, nothing)
}

// A Redis that does not answer is not waited for at every token.
func TestLosingRedisSlowsNobodyDown(t *testing.T) {
	t.Parallel()
	s, services := onOwnRedis(t)
	who := s.agent(t, s.countedOrganization(t), "agents:read")
	if err := services.StopRedis(t.Context()); err != nil {
		t.Fatal(err)
	}
	const tokens, patience = 20, 4 * time.Second
	start := time.Now()
	for range tokens {
		s.token(t, who, "")
	}
	if took := time.Since(start); took > patience {
		t.Errorf("%d tokens took %s, want at most %s", tokens, took, patience)
	}
}

// countedOrganization has a quota that is never reached, so that Redis is
// asked at each of its tokens.
func (s *scene) countedOrganization(tb testing.TB) string {
	tb.Helper()
	return s.organization(tb, map[string]any{"maxTokensPerMonth": 1_000_000})
}

// What one server has written is there at once on the other, wherever one looks.
func TestWhatWasWrittenIsRead(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	other := s.another(t)
	organization := s.organization(t, nil)
	reader := s.agent(t, organization, tenantScopes)
	token := s.token(t, reader, "")
	tries := int64(rounds.Of(1000))
	var left atomic.Int64
	left.Store(tries)
	parallel(t, walkers, func(worker int) error {
		owner, agentID := fmt.Sprintf("team-%d", worker), ""
		for i := left.Add(-1); i >= 0; i = left.Add(-1) {
			a, b := s.server, other
			if i%2 == 1 {
				a, b = b, a
			}
			written, err := writeAgent(a, token, owner, agentID, i)
			if err == nil {
				err = readBack(b, token, owner, written)
			}
			if err != nil {
				return fmt.Errorf("round %d: %w", tries-i, err)
			}
			agentID = written.text("agentId")
		}
		return nil
	})
}

// writeAgent registers an agent, and every other time changes it.
func writeAgent(s *server, token, owner, agentID string, i int64) (answer, error) {
	if agentID != "" && i%4 < 2 {
		return s.want(patch(token, "/api/v1/agents/"+agentID, map[string]any{"description": fmt.Sprint("round ", i)}), 200, "")
	}
	body := newAgentBody("", "")
	body["owner"] = owner
	return s.want(post(token, "/api/v1/agents", body), 201, "")
}

// readBack looks for what was written in every place where it must be.
func readBack(s *server, token, owner string, written answer) error {
	id := written.text("agentId")
	single, err := s.want(get(token, "/api/v1/agents/"+id), 200, "")
	if err != nil {
		return err
	}
	if string(single.body) != string(written.body) || single.header.Get("ETag") != written.header.Get("ETag") {
		return fmt.Errorf("written %s, read %s", written.body, single.body)
	}
	list, err := s.want(get(token, "/api/v1/agents?limit=1&owner="+owner), 200, "")
	if err != nil {
		return err
	}
	if newest := list.list("data"); len(newest) != 1 || newest[0]["agentId"] != id || newest[0]["updatedAt"] != written.text("updatedAt") {
		return fmt.Errorf("written %s, listed %s", written.body, list.body)
	}
	audit, err := s.want(get(token, "/api/v1/audit?limit=1&agentId="+id), 200, "")
	if err != nil {
		return err
	}
	events := audit.list("data")
	if len(events) != 1 || fmt.Sprint(int64(events[0]["position"].(float64))) != written.header.Get("X-Ledger-Position") {
		return fmt.Errorf("written at %s, audited %s", written.header.Get("X-Ledger-Position"), audit.body)
	}
	_, err = s.want(get(token, "/api/v1/audit/"+events[0]["eventId"].(string)), 200, "")
	return err
}

func TestReadsMayDemandAPosition(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	hasty := s.another(t, "READ_WAIT_TIMEOUT_MS=50")
	a := s.agent(t, s.organization(t, nil), "")
	changed := s.must(t, patch(s.operator, a.path(), map[string]any{"owner": "other"}), 200, "")
	position := changed.header.Get("X-Ledger-Position")
	s.must(t, get(s.operator, a.path()+"?minPosition="+position), 200, "")
	s.must(t, get(s.operator, a.path()).with("X-Ledger-Position", position), 200, "")
	const ahead = "1000000000"
	for _, r := range []request{
		get(s.operator, a.path()+"?minPosition="+ahead),
		get(s.operator, a.path()).with("X-Ledger-Position", ahead),
		get(s.operator, a.path()+"?minPosition="+position).with("X-Ledger-Position", ahead), // the greater one counts
		get(s.operator, "/api/v1/agents?minPosition="+ahead),
		get(s.operator, "/api/v1/audit?minPosition="+ahead),
		get(s.operator, "/api/v1/organizations?minPosition="+ahead),
	} {
		if refusal := hasty.must(t, r, 503, "READ_MODEL_BEHIND"); refusal.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", r.path)
		}
	}
	for _, wrong := range []string{"-1", "x", "1.5", "99999999999999999999"} {
		s.must(t, get(s.operator, a.path()+"?minPosition="+wrong), 400, "VALIDATION_ERROR")
	}
}
