package api_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sentryagent/agentidp/internal/pgtest"
)

func TestCall1001OfTheDayIsRefusedUntilAnUpgradeOrMidnight(t *testing.T) {
	t.Parallel()
	s, clock := sceneAt(t, "TIER_ENFORCEMENT=true")
	second := newServer(t, s.world.ServeAt(t, clock.Now))
	nodes := []*server{s.server, second}
	organization := s.organization(t, map[string]any{"planTier": "free"})
	a := s.agent(t, organization, "agents:read")
	token := s.token(t, a, "")
	wantTally(t, tally(t, 1000, func(i int) (answer, error) { return nodes[i%2].do(get(token, aRead)) }), map[string]int{"200": 1000})
	for _, node := range nodes {
		refused := node.must(t, get(token, aRead), 429, "TIER_LIMIT_EXCEEDED")
		details, _ := refused.object()["details"].(map[string]any)
		if details["tier"] != "free" || details["limit"] != 1000. || details["current"] != 1000. {
			t.Errorf("details %v, want free, 1000, 1000", details)
		}
		if got := refused.header.Get("Retry-After"); got != strconv.Itoa(3*60*60) {
			t.Errorf("Retry-After %s, want the three hours to midnight UTC", got)
		}
	}
	tier := "/api/v1/organizations/" + organization + "/tier"
	change := func(to string) request {
		return put(s.operator, tier, map[string]any{"tier": to, "reason": "contract 7"})
	}
	if got := s.must(t, change("pro"), 200, "").text("planTier"); got != "pro" {
		t.Errorf("the answer says %q, want pro", got)
	}
	second.must(t, get(token, aRead), 200, "")
	s.must(t, change("free"), 200, "")
	second.must(t, get(token, aRead), 429, "TIER_LIMIT_EXCEEDED")

	midnight := time.Date(2031, 3, 5, 0, 0, 0, 0, time.UTC)
	clock.set(midnight.Add(-time.Millisecond))
	late := s.token(t, a, "")
	if got := s.must(t, get(late, aRead), 429, "TIER_LIMIT_EXCEEDED").header.Get("Retry-After"); got != "1" {
		t.Errorf("a millisecond before midnight: Retry-After %s, want 1", got)
	}
	clock.set(midnight)
	second.must(t, get(late, aRead), 200, "")
	usage, _ := s.must(t, get(late, "/api/v1/tiers/status"), 200, "").object()["usage"].(map[string]any)
	if usage["callsToday"] != 2. {
		t.Errorf("after midnight %v, want 2 calls", usage)
	}
}

func TestChangeOfTierIsInTheAuditTrail(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	organization := s.organization(t, map[string]any{"planTier": "free"})
	path := "/api/v1/organizations/" + organization + "/tier"
	changed := s.must(t, put(s.operator, path, map[string]any{"tier": "enterprise", "reason": "contract 7"}), 200, "")
	s.must(t, put(s.operator, path, map[string]any{"tier": "enterprise", "reason": "again"}), 200, "")
	events := s.must(t, get(s.operator, "/api/v1/audit?action=tier.changed&organizationId="+organization), 200, "").list("data")
	if len(events) != 1 {
		t.Fatalf("%d events, want 1: the second change changed nothing", len(events))
	}
	metadata, _ := events[0]["metadata"].(map[string]any)
	actor, _ := events[0]["actor"].(map[string]any)
	if metadata["from"] != "free" || metadata["to"] != "enterprise" || metadata["reason"] != "contract 7" || actor["id"] != s.root.id {
		t.Errorf("the event is %v", events[0])
	}
	if position := strconv.FormatFloat(events[0]["position"].(float64), 'f', 0, 64); changed.header.Get("X-Ledger-Position") != position {
		t.Errorf("X-Ledger-Position %s, want %s", changed.header.Get("X-Ledger-Position"), position)
	}
	for name, refused := range map[string]struct {
		body   map[string]any
		token  string
		status int
		code   string
	}{
		"no reason":    {map[string]any{"tier": "pro"}, s.operator, 400, "VALIDATION_ERROR"},
		"blank reason": {map[string]any{"tier": "pro", "reason": " "}, s.operator, 400, "VALIDATION_ERROR"},
		"unknown tier": {map[string]any{"tier": "gold", "reason": "r"}, s.operator, 400, "VALIDATION_ERROR"},
		"tenant":       {map[string]any{"tier": "pro", "reason": "r"}, s.token(t, s.agent(t, organization, tenantScopes), ""), 403, "INSUFFICIENT_SCOPE"},
		"nobody":       {map[string]any{"tier": "pro", "reason": "r"}, "", 401, "UNAUTHORIZED"},
	} {
		t.Run(name, func(t *testing.T) { s.must(t, put(refused.token, path, refused.body), refused.status, refused.code) })
	}
	s.must(t, put(s.operator, "/api/v1/organizations/"+nobodys+"/tier", map[string]any{"tier": "pro", "reason": "r"}), 404, "ORG_NOT_FOUND")
}

func TestTokensOfTheDayAreCountedFromTheLedger(t *testing.T) {
	t.Parallel()
	redisURL := pgtest.Redis(t)
	s, clock := sceneAt(t, "TIER_ENFORCEMENT=true", "REDIS_URL="+redisURL)
	second := newServer(t, s.world.ServeAt(t, clock.Now))
	organization := s.organization(t, map[string]any{"planTier": "free", "maxTokensPerDay": 5})
	a := s.agent(t, organization, "agents:read")
	counts := tally(t, 20, func(i int) (answer, error) { return []*server{s.server, second}[i%2].do(tokenRequest(a, "")) })
	wantTally(t, counts, map[string]int{"200": 5, "429 temporarily_unavailable": 15})

	status := s.must(t, get(s.operator, "/api/v1/tiers/status?organizationId="+organization), 200, "")
	if usage, _ := status.object()["usage"].(map[string]any); usage["tokensToday"] != 5. {
		t.Errorf("usage %v, want 5 tokens", usage)
	}
	flush(t, redisURL)
	refused := second.must(t, tokenRequest(a, ""), 429, "temporarily_unavailable")
	if got := refused.header.Get("Retry-After"); got != strconv.Itoa(3*60*60) {
		t.Errorf("Retry-After %s, want the three hours to midnight UTC", got)
	}

	// A limit that was not there is counted to from what the ledger says.
	path := "/api/v1/organizations/" + organization
	s.must(t, put(s.operator, path+"/tier", map[string]any{"tier": "enterprise", "reason": "a week for free"}), 200, "")
	s.must(t, patch(s.operator, path, map[string]any{"maxTokensPerDay": nil}), 200, "")
	s.must(t, tokenRequest(a, ""), 200, "")
	s.must(t, get(s.operator, "/api/v1/tiers/status?organizationId="+organization), 200, "") // has waited for the read model
	s.must(t, patch(s.operator, path, map[string]any{"maxTokensPerDay": 7}), 200, "")
	second.must(t, tokenRequest(a, ""), 200, "")
	s.must(t, tokenRequest(a, ""), 429, "temporarily_unavailable")

	clock.set(time.Date(2031, 3, 5, 0, 0, 0, 0, time.UTC))
	s.must(t, tokenRequest(a, ""), 200, "")
}

func TestTierStatus(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	organization := s.organization(t, map[string]any{"planTier": "free", "maxTokensPerDay": 20})
	a := s.agent(t, organization, "openid")
	s.agent(t, organization, "agents:read")
	s.token(t, a, "")
	token := s.token(t, a, "")
	before := time.Now().UTC()
	status := s.must(t, get(token, "/api/v1/tiers/status"), 200, "").object() // whatever its scopes
	resetAt, err := time.Parse(time.RFC3339, fmt.Sprint(status["resetAt"]))
	if err != nil || resetAt.Truncate(24*time.Hour) != resetAt || resetAt.Sub(before) > 24*time.Hour || resetAt.Before(before) {
		t.Errorf("resetAt %v, want the next midnight UTC", status["resetAt"])
	}
	delete(status, "resetAt")
	want := map[string]any{
		"tier":   "free",
		"limits": map[string]any{"maxAgents": 10., "maxCallsPerDay": 1000., "maxTokensPerDay": 20.},
		"usage":  map[string]any{"agentCount": 2., "callsToday": 1., "tokensToday": 2.},
	}
	if diff := cmp.Diff(want, status); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	unlimited, _ := s.must(t, get(s.operator, "/api/v1/tiers/status"), 200, "").object()["limits"].(map[string]any)
	if diff := cmp.Diff(map[string]any{"maxAgents": nil, "maxCallsPerDay": nil, "maxTokensPerDay": nil}, unlimited); diff != "" {
		t.Errorf("enterprise: -want +got:\n%s", diff)
	}
	named := "/api/v1/tiers/status?organizationId="
	if got := s.must(t, get(s.operator, named+organization), 200, "").text("tier"); got != "free" {
		t.Errorf("the operator sees the tier %q of the organization it names, want free", got)
	}
	s.must(t, get(token, named+s.root.organization), 403, "AUTHORIZATION_ERROR")
	s.must(t, get(s.operator, named+nobodys), 404, "ORG_NOT_FOUND")
	s.must(t, get("", "/api/v1/tiers/status"), 401, "UNAUTHORIZED")
}

func TestFreeOrganizationHasTenAgents(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	organization := s.organization(t, map[string]any{"planTier": "pro"})
	register := post(s.operator, "/api/v1/agents", nil)
	next := func() request {
		register.json = newAgentBody(organization, "")
		return register
	}
	var agents []string
	for range 12 {
		agents = append(agents, s.must(t, next(), 201, "").text("agentId"))
	}
	tier := put(s.operator, "/api/v1/organizations/"+organization+"/tier", map[string]any{"tier": "free", "reason": "not paid"})
	s.must(t, tier, 200, "") // below what there is
	for _, id := range agents[:3] {
		s.must(t, get(s.operator, "/api/v1/agents/"+id), 200, "")
		s.must(t, next(), 403, "FREE_TIER_LIMIT_EXCEEDED")
		s.must(t, remove(s.operator, "/api/v1/agents/"+id), 204, "")
	}
	s.must(t, next(), 201, "")
	s.must(t, next(), 403, "FREE_TIER_LIMIT_EXCEEDED")
}

func TestLimitsCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	s := newScene(t, "RATE_LIMIT_MAX_REQUESTS=0", "TIER_ENFORCEMENT=false")
	organization := s.organization(t, map[string]any{"planTier": "free", "maxCallsPerDay": 3, "maxTokensPerDay": 0})
	a := s.agent(t, organization, "agents:read")
	token := s.token(t, a, "")
	for range 10 {
		if read := s.must(t, get(token, aRead), 200, ""); read.header.Get("X-RateLimit-Limit") != "" {
			t.Fatal("there is a rate limit")
		}
		s.must(t, wrongSecret(a), 401, "invalid_client")
	}
	s.must(t, wrongSecret(a), 401, "invalid_client")
	status := s.must(t, get(token, "/api/v1/tiers/status"), 200, "").object()
	usage, _ := status["usage"].(map[string]any)
	if usage["callsToday"] != 11. || usage["tokensToday"] != 1. { // counting goes on
		t.Errorf("usage %v, want 11 calls and 1 token", usage)
	}
}
