package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
)

func TestBruteForceIsRefusedUnseen(t *testing.T) {
	t.Parallel()
	s := newScene(t, "RATE_LIMIT_MAX_REQUESTS=100", "TRUSTED_PROXIES=127.0.0.0/8")
	second := s.another(t)
	organization := s.organization(t, nil)
	victim, neighbour := s.agent(t, organization, "agents:read"), s.agent(t, organization, "agents:read")
	const attacker, home = "198.51.100.7", "203.0.113.1"
	for i := range 10 {
		[]*server{s.server, second}[i%2].must(t, from(wrongSecret(victim), attacker), 401, "invalid_client")
	}
	refused := second.must(t, from(tokenRequest(victim, ""), attacker), 429, "temporarily_unavailable") // the right one
	if refused.header.Get("X-RateLimit-Limit") != "10" || refused.header.Get("X-RateLimit-Remaining") != "0" || refused.header.Get("Retry-After") == "" {
		t.Errorf("429 with %v", refused.header)
	}
	s.must(t, from(tokenRequest(neighbour, ""), attacker), 200, "") // behind the same address
	s.must(t, from(tokenRequest(victim, ""), home), 200, "")        // from its own

	for i := range 30 { // an attacker with many addresses
		s.must(t, from(wrongSecret(victim), fmt.Sprint("192.0.2.", i)), 401, "invalid_client")
	}
	s.must(t, from(tokenRequest(victim, ""), "192.0.2.3"), 429, "temporarily_unavailable") // it has had its one guess
	s.must(t, from(tokenRequest(victim, ""), home), 200, "")
}

// An address that many share may fail for as many clients as it likes: who has
// not failed there gets in, and failures are answered by 429.
func TestFailuresOfAnAddressLockOutNobodyElse(t *testing.T) {
	t.Parallel()
	s := newScene(t, "RATE_LIMIT_MAX_REQUESTS=1000", "TRUSTED_PROXIES=127.0.0.0/8")
	organization := s.organization(t, nil)
	a, failing := s.agent(t, organization, "agents:read"), s.agent(t, organization, "agents:read")
	const shared, elsewhere = "198.51.100.7", "203.0.113.9"
	unknown := func() request {
		return from(wrongSecret(agent{id: "01930000-0000-7000-8000-" + unique()[:12]}), shared)
	}
	wantTally(t, tally(t, 100, func(int) (answer, error) { return s.do(unknown()) }), map[string]int{"401 invalid_client": 100})
	wantTally(t, tally(t, 20, func(int) (answer, error) { return s.do(unknown()) }), map[string]int{"429 temporarily_unavailable": 20})
	s.must(t, from(wrongSecret(failing), shared), 429, "temporarily_unavailable")
	s.must(t, from(tokenRequest(a, ""), shared), 200, "")

	for range 10 { // somebody else attacks that client from somewhere else, and then from everywhere
		s.must(t, from(wrongSecret(a), elsewhere), 401, "invalid_client")
	}
	s.must(t, from(tokenRequest(a, ""), elsewhere), 429, "temporarily_unavailable")
	for i := range 20 {
		s.must(t, from(wrongSecret(a), fmt.Sprint("192.0.2.", i)), 401, "invalid_client")
	}
	s.must(t, from(tokenRequest(a, ""), shared), 200, "")
}

// Who names no client has nothing but an address to be known by.
func TestAttemptsThatNameNoClientCountForTheAddress(t *testing.T) {
	t.Parallel()
	s := newScene(t, "RATE_LIMIT_MAX_REQUESTS=1000")
	a := s.agent(t, s.organization(t, nil), "agents:read")
	nobody := wrongSecret(agent{id: "nobody"})
	for range 10 {
		s.must(t, nobody, 401, "invalid_client")
	}
	s.must(t, nobody, 429, "temporarily_unavailable")
	s.must(t, tokenRequest(a, ""), 200, "")
}

// What fails counts for the address; who gets it right does not feel it.
func TestRefusalsAreLimitedByAddress(t *testing.T) {
	t.Parallel()
	s := newScene(t, "RATE_LIMIT_MAX_REQUESTS=20")
	a := s.agent(t, s.organization(t, nil), "agents:read")
	token := s.token(t, a, "")
	malformed := request{method: http.MethodPost, path: "/oauth2/token", form: url.Values{"grant_type": {"magic"}}}
	for i := range 10 {
		forged := fmt.Sprint("198.51.100.", i) // nobody trusts this proxy
		s.must(t, from(get("not-a-token", aRead), forged), 401, "UNAUTHORIZED")
		s.must(t, from(malformed, forged), 400, "unsupported_grant_type")
	}
	if refused := s.must(t, from(get("not-a-token", aRead), "198.51.100.99"), 429, "RATE_LIMIT_EXCEEDED"); refused.header.Get("WWW-Authenticate") != "" {
		t.Error("a 429 asks for authentication")
	}
	s.must(t, malformed, 429, "temporarily_unavailable")
	s.must(t, get(token, aRead), 200, "")
	s.must(t, tokenRequest(a, ""), 200, "")
}

func TestRefusalsOfAVerifiedCallerAreItsOwn(t *testing.T) {
	t.Parallel()
	s := newScene(t, "RATE_LIMIT_MAX_REQUESTS=10")
	a := s.agent(t, s.organization(t, nil), "agents:read")
	token := s.token(t, a, "")
	for range 10 {
		s.must(t, get(token, "/api/v1/audit"), 403, "INSUFFICIENT_SCOPE")
	}
	s.must(t, get(token, "/api/v1/audit"), 429, "RATE_LIMIT_EXCEEDED")
	s.must(t, get(token, aRead), 429, "RATE_LIMIT_EXCEEDED")
	s.must(t, get("", aRead), 401, "UNAUTHORIZED")
}
