package api_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// accessClaims are the claims that REQUIREMENTS 5 promises.
type accessClaims struct {
	Issuer         string `json:"iss"`
	Subject        string `json:"sub"`
	Audience       string `json:"aud"`
	ClientID       string `json:"client_id"`
	IssuedAt       int64  `json:"iat"`
	ExpiresAt      int64  `json:"exp"`
	ID             string `json:"jti"`
	Scope          string `json:"scope"`
	AgentID        string `json:"agent_id"`
	OrganizationID string `json:"organization_id"`
	Ledger         int64  `json:"ledger"`
}

type joseHeader struct{ Alg, Kid, Typ string }

// part decodes one part of a JWS in compact form.
func part(tb testing.TB, token string, i int, into any) {
	tb.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		tb.Fatalf("a token of %d parts", len(parts))
	}
	decoded, err := base64.RawURLEncoding.DecodeString(parts[i])
	if err == nil {
		err = json.Unmarshal(decoded, into)
	}
	if err != nil {
		tb.Fatalf("part %d of a token: %v", i, err)
	}
}

// traveller is one agent on its way from registration to the proof of it all.
type traveller struct {
	*scene
	agent agent
	token string
}

func TestJourneyFromOrganizationToProof(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"RS256", "ES256"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, "JWT_SIGNING_ALG="+alg)
			organization := s.organization(t, nil)
			j := &traveller{scene: s, agent: s.agent(t, organization, "agents:read audit:read")}
			j.fetchToken(t)
			j.checkClaims(t, alg)
			j.useToken(t)
			j.rotate(t)
			j.suspendAndReactivate(t)
			j.decommission(t)
			j.readAudit(t)
			j.verify(t)
		})
	}
}

// foreign is a context in which x/oauth2 and go-oidc go through our checks too.
func (s *server) foreign(tb testing.TB) context.Context {
	return context.WithValue(oidc.ClientContext(tb.Context(), s.http), oauth2.HTTPClient, s.http)
}

func (j *traveller) fetchToken(t *testing.T) {
	t.Helper()
	client := clientcredentials.Config{ClientID: j.agent.id, ClientSecret: j.agent.secret, TokenURL: j.base + "/oauth2/token"}
	token, err := client.Token(j.foreign(t))
	if err != nil {
		t.Fatalf("x/oauth2 gets no token: %v", err)
	}
	if life := time.Until(token.Expiry); token.TokenType != "Bearer" || life < 59*time.Minute || life > time.Hour {
		t.Errorf("type %q, life %s, want a Bearer token for an hour", token.TokenType, life)
	}
	j.token = token.AccessToken
}

func (j *traveller) checkClaims(t *testing.T, alg string) {
	t.Helper()
	ctx := j.foreign(t)
	provider, err := oidc.NewProvider(ctx, j.base)
	if err != nil {
		t.Fatalf("go-oidc cannot discover: %v", err)
	}
	verified, err := provider.Verifier(&oidc.Config{ClientID: j.base}).Verify(ctx, j.token)
	if err != nil {
		t.Fatalf("go-oidc refuses the token: %v", err)
	}
	var got accessClaims
	if err := verified.Claims(&got); err != nil {
		t.Fatal(err)
	}
	want := accessClaims{
		Issuer: j.base, Subject: j.agent.id, Audience: j.base, ClientID: j.agent.id, IssuedAt: got.IssuedAt,
		ExpiresAt: got.IssuedAt + 3600, ID: got.ID, Scope: "agents:read audit:read",
		AgentID: j.agent.id, OrganizationID: j.agent.organization, Ledger: got.Ledger,
	}
	if diff := cmp.Diff(want, got); diff != "" || got.ID == "" {
		t.Errorf("claims -want +got:\n%s", diff)
	}
	if age := time.Now().Unix() - got.IssuedAt; age < 0 || age > 60 {
		t.Errorf("iat lies %d s back", age)
	}
	j.checkHeader(t, alg)
	j.checkLedgerClaim(t, got)
}

func (j *traveller) checkHeader(t *testing.T, alg string) {
	t.Helper()
	var header joseHeader
	part(t, j.token, 0, &header)
	keys := j.must(t, get("", "/.well-known/jwks.json"), 200, "").list("keys")
	known := slices.IndexFunc(keys, func(key map[string]any) bool { return key["kid"] == header.Kid && key["alg"] == alg })
	if header.Typ != "at+jwt" || header.Alg != alg || known < 0 {
		t.Errorf("header %+v, want at+jwt, %s and a kid of %v", header, alg, keys)
	}
}

func (j *traveller) checkLedgerClaim(t *testing.T, claims accessClaims) {
	t.Helper()
	path := "/api/v1/audit?action=token.issued&agentId=" + j.agent.id + "&organizationId=" + j.agent.organization
	issued := j.must(t, get(j.operator, path), 200, "").list("data")
	if len(issued) != 1 || int64(issued[0]["position"].(float64)) != claims.Ledger {
		t.Fatalf("ledger claim %d, token.issued events %v", claims.Ledger, issued)
	}
	metadata, _ := issued[0]["metadata"].(map[string]any)
	if metadata["jti"] != claims.ID || metadata["scope"] != claims.Scope {
		t.Errorf("the event tells of another token: %v", metadata)
	}
}

func (j *traveller) useToken(t *testing.T) {
	t.Helper()
	list := j.must(t, get(j.token, "/api/v1/agents"), 200, "")
	if ids := texts(list.list("data"), "agentId"); !slices.Equal(ids, []string{j.agent.id}) || list.number("total") != 1 {
		t.Errorf("agents %v, want just %s", ids, j.agent.id)
	}
}

// refused checks that neither this secret nor this token is good for anything.
func (j *traveller) refused(t *testing.T) {
	t.Helper()
	j.must(t, tokenRequest(j.agent, ""), 401, "invalid_client")
	if err := j.mustDie(j.token); err != nil {
		t.Error(err)
	}
}

func (j *traveller) rotate(t *testing.T) {
	t.Helper()
	path := j.agent.path() + "/credentials/" + j.agent.credential + "/rotate"
	rotated := j.must(t, post(j.operator, path, map[string]any{}), 200, "")
	j.refused(t)
	if rotated.text("clientSecret") == j.agent.secret || rotated.text("credentialId") != j.agent.credential {
		t.Errorf("rotation gave %s", rotated.body)
	}
	j.agent.secret = rotated.text("clientSecret")
	j.startAfresh(t)
}

func (j *traveller) startAfresh(t *testing.T) {
	t.Helper()
	old := j.token
	j.token = j.server.token(t, j.agent, "")
	j.useToken(t)
	if err := j.mustDie(old); err != nil {
		t.Errorf("a new token brought the old one back: %v", err)
	}
}

func (j *traveller) suspendAndReactivate(t *testing.T) {
	t.Helper()
	j.must(t, patch(j.operator, j.agent.path(), map[string]any{"status": "suspended", "reason": "under investigation"}), 200, "")
	j.refused(t)
	j.must(t, patch(j.operator, j.agent.path(), map[string]any{"status": "active"}), 200, "")
	j.startAfresh(t)
}

func (j *traveller) decommission(t *testing.T) {
	t.Helper()
	j.must(t, remove(j.operator, j.agent.path()), 204, "")
	j.refused(t)
	for _, change := range []request{
		patch(j.operator, j.agent.path(), map[string]any{"owner": "nobody"}),
		patch(j.operator, j.agent.path(), map[string]any{"status": "active"}),
		post(j.operator, j.agent.path()+"/credentials", map[string]any{}),
		post(j.operator, j.agent.path()+"/credentials/rotate", map[string]any{}),
		post(j.operator, j.agent.path()+"/credentials/"+j.agent.credential+"/rotate", map[string]any{}),
		remove(j.operator, j.agent.path()+"/credentials/"+j.agent.credential),
	} {
		j.must(t, change, 403, "AGENT_DECOMMISSIONED")
	}
	j.must(t, remove(j.operator, j.agent.path()), 409, "AGENT_ALREADY_DECOMMISSIONED")
	record := j.must(t, get(j.operator, j.agent.path()), 200, "")
	if record.text("status") != "decommissioned" || record.text("email") != j.agent.email {
		t.Errorf("record %s, want it readable and decommissioned", record.body)
	}
	credentials := j.must(t, get(j.operator, j.agent.path()+"/credentials"), 200, "").list("data")
	if len(credentials) != 1 || credentials[0]["status"] != "revoked" || credentials[0]["revokedAt"] == nil {
		t.Errorf("credentials %v, want the one, revoked", credentials)
	}
}

func (j *traveller) readAudit(t *testing.T) {
	t.Helper()
	path := "/api/v1/audit?limit=100&organizationId=" + j.agent.organization
	events := j.must(t, get(j.operator, path), 200, "").list("data")
	onStream := map[string][]map[string]any{}
	for i, event := range events {
		if i > 0 && event["position"].(float64) >= events[i-1]["position"].(float64) {
			t.Errorf("event %d is not older than the one before it", i)
		}
		stream, _ := event["stream"].(string)
		onStream[stream] = append(onStream[stream], event)
		single := j.must(t, get(j.operator, "/api/v1/audit/"+event["eventId"].(string)), 200, "").object()
		if diff := cmp.Diff(event, single); diff != "" {
			t.Errorf("list and get differ -list +get:\n%s", diff)
		}
	}
	own := onStream["agent-"+j.agent.id]
	want := []string{
		"agent.decommissioned", "credential.revoked", "token.issued", "agent.reactivated", "agent.suspended",
		"token.issued", "credential.rotated", "token.issued", "credential.generated", "did.created", "agent.created",
	}
	if diff := cmp.Diff(want, texts(own, "action")); diff != "" {
		t.Errorf("actions, newest first -want +got:\n%s", diff)
	}
	checkChain(t, own)
	failures := j.must(t, get(j.operator, path+"&outcome=failure"), 200, "").list("data")
	if reasons := fmt.Sprint(failures); len(failures) == 0 || !strings.Contains(reasons, "wrong_secret") {
		t.Errorf("failed authentications %v, want that with the old secret", failures)
	}
}

// checkChain follows a whole stream, newest first, back to its beginning.
func checkChain(t *testing.T, events []map[string]any) {
	t.Helper()
	for i, event := range events {
		before := strings.Repeat("0", 64)
		if i+1 < len(events) {
			before, _ = events[i+1]["hash"].(string)
		}
		if revision := event["revision"].(float64); event["previousHash"] != before || int(revision) != len(events)-1-i {
			t.Errorf("%v at revision %v has previous hash %v, want revision %d and %s",
				event["action"], revision, event["previousHash"], len(events)-1-i, before)
		}
	}
}

func (j *traveller) verify(t *testing.T) {
	t.Helper()
	all := j.events(t, "")
	report := j.must(t, get(j.operator, "/api/v1/audit/verify"), 200, "").object()
	if report["verified"] != true || report["checkedCount"] != all || report["brokenAtEventId"] != nil {
		t.Errorf("verification %v, want all %v events intact", report, all)
	}
}

// An agent may look after its own credentials whatever its scopes are.
func TestAnAgentManagesItsOwnCredentials(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	own := s.agent(t, s.organization(t, nil), "webhooks:read")
	peer := s.agent(t, own.organization, "webhooks:read")
	token := s.token(t, own, "")
	second, secret, err := s.newCredential(token, own)
	if err != nil {
		t.Fatal(err)
	}
	if list := s.must(t, get(token, own.path()+"/credentials?status=active"), 200, "").list("data"); len(list) != 2 || list[0]["credentialId"] != second {
		t.Errorf("credentials %v, want two, the newest first", list)
	}
	s.must(t, remove(token, own.path()+"/credentials/"+own.credential), 204, "")
	own.credential, own.secret = second, secret
	token = s.token(t, own, "")
	s.must(t, post(token, own.path()+"/credentials/rotate", map[string]any{}), 200, "")
	if err := s.mustDie(token); err != nil {
		t.Error(err)
	}
	for _, foreign := range []request{
		get("", peer.path()+"/credentials"),
		post("", peer.path()+"/credentials", map[string]any{}),
		post("", peer.path()+"/credentials/rotate", map[string]any{}),
		remove("", peer.path()+"/credentials/"+peer.credential),
	} {
		foreign.token = s.token(t, peer, "")
		foreign.path = strings.Replace(foreign.path, peer.id, own.id, 1)
		s.must(t, foreign, 403, "INSUFFICIENT_SCOPE")
	}
}

func TestSeveralCredentialsAllowRotationWithoutDowntime(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "agents:read")
	first := s.token(t, a, "")
	second := a
	var err error
	if second.credential, second.secret, err = s.newCredential(s.operator, a); err != nil {
		t.Fatal(err)
	}
	other := s.token(t, second, "")
	s.must(t, remove(s.operator, a.path()+"/credentials/"+a.credential), 204, "")
	s.must(t, remove(s.operator, a.path()+"/credentials/"+a.credential), 409, "CREDENTIAL_ALREADY_REVOKED")
	if err := s.mustDie(first); err != nil {
		t.Error(err)
	}
	s.must(t, get(other, "/api/v1/agents"), 200, "")
	s.must(t, tokenRequest(a, ""), 401, "invalid_client")
	s.must(t, tokenRequest(second, ""), 200, "")
	s.must(t, post(s.operator, a.path()+"/credentials", map[string]any{"expiresAt": "2020-01-01T00:00:00Z"}), 400, "VALIDATION_ERROR")
}

// Suspending an organization silences all of its agents, on the spot.
func TestSuspendedOrganizationIssuesNoTokens(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "agents:read")
	token := s.token(t, a, "")
	path := "/api/v1/organizations/" + a.organization
	s.must(t, patch(s.operator, path, map[string]any{"status": "suspended"}), 200, "")
	s.must(t, tokenRequest(a, ""), 401, "invalid_client")
	if err := s.mustDie(token); err != nil {
		t.Error(err)
	}
	s.must(t, patch(s.operator, path, map[string]any{"status": "active"}), 200, "")
	if err := s.mustDie(token); err != nil {
		t.Errorf("reactivation brought an old token back: %v", err)
	}
	s.must(t, tokenRequest(a, ""), 200, "")
	s.must(t, remove(s.operator, path), 409, "ORG_HAS_ACTIVE_AGENTS")
	s.must(t, remove(s.operator, a.path()), 204, "")
	s.must(t, remove(s.operator, path), 204, "")
	s.must(t, tokenRequest(a, ""), 401, "invalid_client")
	s.must(t, post(s.operator, "/api/v1/agents", newAgentBody(a.organization, "")), 404, "ORG_NOT_FOUND")
	if status := s.must(t, get(s.operator, path), 200, "").text("status"); status != "deleted" {
		t.Errorf("status %q, want deleted", status)
	}
}

func TestTokenAliasIsTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "agents:read")
	r := tokenRequest(a, "")
	r.path = "/api/v1/token"
	token := s.must(t, r, 200, "").text("access_token")
	s.must(t, get(token, "/api/v1/agents"), 200, "")
	s.must(t, request{method: http.MethodPost, path: "/api/v1/token/revoke", basic: &a, form: url.Values{"token": {token}}}, 200, "")
	if err := s.mustDie(token); err != nil {
		t.Error(err)
	}
	inactive := s.must(t, request{method: http.MethodPost, path: "/api/v1/token/introspect", basic: &a, form: url.Values{"token": {token}}}, 200, "")
	if string(inactive.body) != `{"active":false}` {
		t.Errorf("introspection %s, want inactive", inactive.body)
	}
}
