package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/server/servertest"
	"github.com/sentryagent/agentidp/server/stores"
)

// didOf is the DID of an agent, or of the server itself for "".
func (s *scene) didOf(id string) string {
	did := "did:web:" + strings.ReplaceAll(strings.TrimPrefix(s.base, "http://"), ":", "%3A")
	if id == "" {
		return did
	}
	return did + ":agents:" + id
}

// texts in JSON, so that a document is compared whole.
func decoded(tb testing.TB, text string) map[string]any {
	tb.Helper()
	object := map[string]any{}
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		tb.Fatal(err)
	}
	return object
}

func currentKey(document map[string]any) map[string]any {
	methods, _ := document["verificationMethod"].([]any)
	if len(methods) != 1 {
		return nil
	}
	method, _ := methods[0].(map[string]any)
	return method
}

func TestDIDDocumentsAreToTheLetter(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "agents:read")
	answer := s.must(t, get("", "/agents/"+a.id+"/did.json"), 200, "")
	document := answer.object()
	jwk, err := json.Marshal(currentKey(document)["publicKeyJwk"])
	if err != nil {
		t.Fatal(err)
	}
	did := s.didOf(a.id)
	want := decoded(t, fmt.Sprintf(`{
		"@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/suites/jws-2020/v1"],
		"id": %[1]q, "controller": [%[1]q, %[2]q],
		"verificationMethod": [{"id": "%[1]s#key-1", "type": "JsonWebKey2020", "controller": %[1]q, "publicKeyJwk": %[3]s}],
		"authentication": ["%[1]s#key-1"], "assertionMethod": ["%[1]s#key-1"],
		"service": [{"id": "%[1]s#agentIdP", "type": "AgentIdP", "serviceEndpoint": "%[4]s/api/v1/agents/%[5]s"}],
		"agntcy": {"agentId": %[5]q, "agentType": "screener", "capabilities": ["resume:read"], "deploymentEnv": "production",
			"owner": "talent-team", "version": "1.0.0"}
	}`, did, s.didOf(""), jwk, s.base, a.id))
	if diff := cmp.Diff(want, document); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
	again := s.must(t, get("", a.path()+"/did"), 200, "")
	if diff := cmp.Diff(want, again.object()); diff != "" {
		t.Errorf("at /did it is another:\n%s", diff)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/did+json", "Access-Control-Allow-Origin": "*", "Cache-Control": "public, max-age=300",
	} {
		if got := answer.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	shown := s.must(t, get(s.operator, a.path()), 200, "")
	if created, err := time.Parse(time.RFC3339, shown.text("didCreatedAt")); err != nil || time.Since(created) > time.Minute || shown.text("did") != did {
		t.Errorf("the agent is shown as %s", shown.body)
	}

	instance := s.must(t, get("", "/.well-known/did.json"), 200, "").object()
	method := currentKey(instance)
	if method["id"] != s.didOf("")+"#key-1" || instance["id"] != s.didOf("") || instance["controller"] != s.didOf("") || instance["agntcy"] != nil {
		t.Errorf("the server's own document is %v", instance)
	}
	other := s.another(t, "PUBLIC_URL="+s.base)
	if diff := cmp.Diff(instance, other.must(t, get("", "/.well-known/did.json"), 200, "").object()); diff != "" {
		t.Errorf("another node shows another document of the server:\n%s", diff)
	}
}

func TestDIDDocumentsAreThereForEverybody(t *testing.T) {
	t.Parallel()
	s := newScene(t, "DID_DOCUMENT_CACHE_TTL_SECONDS=0", "CORS_ORIGIN=https://console.example")
	a := s.agent(t, s.organization(t, nil), "agents:read")
	stranger := s.agent(t, s.organization(t, nil), "agents:read")
	document := "/agents/" + a.id + "/did.json"
	answer := s.must(t, get("", document).with("Origin", "https://anywhere.example"), 200, "")
	if answer.header.Get("Access-Control-Allow-Origin") != "*" || answer.header.Get("Cache-Control") != "public, max-age=0" {
		t.Errorf("headers: %v", answer.header)
	}
	preflight := request{method: http.MethodOptions, path: document}.with("Origin", "https://anywhere.example", "Access-Control-Request-Method", "GET")
	if got := s.must(t, preflight, 204, ""); got.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("preflight: %v", got.header)
	}
	closed := request{method: http.MethodOptions, path: a.path() + "/did/keys"}.with("Origin", "https://anywhere.example", "Access-Control-Request-Method", "POST")
	if got, err := s.do(closed); err != nil || got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("keys may be rotated from any page: %v, %v", got.header, err)
	}
	s.must(t, get("", "/agents/"+newID()+"/did.json"), 404, "AGENT_NOT_FOUND")
	s.must(t, get("", "/agents/nothing/did.json"), 400, "VALIDATION_ERROR")

	resolve := a.path() + "/did/resolve"
	result := s.must(t, get(s.token(t, stranger, ""), resolve), 200, "")
	if got := result.header.Get("Content-Type"); got != `application/ld+json;profile="https://w3id.org/did-resolution"` {
		t.Errorf("the result is %s", got)
	}
	s.must(t, get("", resolve), 401, "UNAUTHORIZED")
	s.must(t, get(s.token(t, stranger, ""), "/api/v1/agents/"+newID()+"/did/resolve"), 404, "AGENT_NOT_FOUND")

	s.must(t, patch(s.operator, a.path(), map[string]any{"status": "suspended"}), 200, "")
	s.must(t, get("", document), 200, "")
	s.must(t, get("", a.path()+"/did/card"), 404, "AGENT_NOT_FOUND")
	s.must(t, remove(s.operator, a.path()), 204, "")
	for _, path := range []string{document, a.path() + "/did", a.path() + "/did/card", "/agents/" + a.id + "/.well-known/agent-card.json"} {
		gone := s.must(t, get("", path), 410, "AGENT_DECOMMISSIONED")
		if gone.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be kept: %q", path, gone.header.Get("Cache-Control"))
		}
	}
	result = s.must(t, get(s.token(t, stranger, ""), resolve), 200, "")
	found, _ := result.object()["didDocument"].(map[string]any)
	metadata, _ := result.object()["didDocumentMetadata"].(map[string]any)
	methods, _ := found["verificationMethod"].([]any)
	retired, _ := metadata["retiredMethods"].([]any)
	if methods == nil || len(methods) != 0 || metadata["deactivated"] != true || len(retired) != 1 {
		t.Errorf("resolved after the end: %s", result.body)
	}
}

func newID() string { return ledger.NewID().String() }

// didPair is a key of an agent's own.
type didPair struct{ private *ecdsa.PrivateKey }

func newDIDPair(tb testing.TB) didPair {
	tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return didPair{private}
}

func (p didPair) jwk(tb testing.TB) map[string]any {
	tb.Helper()
	const size = 32
	point, err := p.private.PublicKey.Bytes() // 4, x, y
	if err != nil {
		tb.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return map[string]any{"kty": "EC", "crv": "P-256", "x": encode(point[1 : 1+size]), "y": encode(point[1+size:])}
}

// proof is a good one, but for the claims that are given; nil takes one out.
func (p didPair) proof(tb testing.TB, did, audience string, claims map[string]any) string {
	tb.Helper()
	all := jwt.MapClaims{"sub": did, "aud": audience, "iat": time.Now().Unix(), "exp": time.Now().Add(5 * time.Minute).Unix(), "jti": newID()}
	for name, value := range claims {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodES256, all).SignedString(p.private)
	if err != nil {
		tb.Fatal(err)
	}
	return signed
}

func rotation(token string, a agent, key map[string]any, proof string) request {
	return post(token, a.path()+"/did/keys", map[string]any{"publicKeyJwk": key, "proof": proof})
}

func TestAnAgentBringsItsOwnKey(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "agents:read")
	token, own, did := s.token(t, a, ""), newDIDPair(t), s.didOf(a.id)
	first := currentKey(s.must(t, get("", a.path()+"/did"), 200, "").object())
	proof := own.proof(t, did, s.base+"/", nil)
	made := s.must(t, rotation(token, a, own.jwk(t), proof), 201, "")
	if made.text("keyId") != did+"#key-2" || made.text("custody") != "agent" || made.text("createdAt") == "" || made.header.Get("X-Ledger-Position") == "" {
		t.Errorf("answer: %s", made.body)
	}
	method := currentKey(s.must(t, get("", a.path()+"/did"), 200, "").object())
	if diff := cmp.Diff(any(own.jwk(t)), method["publicKeyJwk"]); diff != "" || method["id"] != did+"#key-2" {
		t.Errorf("%s is in the document (-brought +shown):\n%s", method["id"], diff)
	}
	result := s.must(t, get(token, a.path()+"/did/resolve"), 200, "").object()
	metadata, _ := result["didDocumentMetadata"].(map[string]any)
	retired, _ := metadata["retiredMethods"].([]any)
	old, _ := retired[0].(map[string]any)
	if len(retired) != 1 || old["id"] != did+"#key-1" || cmp.Diff(old["publicKeyJwk"], first["publicKeyJwk"]) != "" || old["revoked"] == "" {
		t.Errorf("retired: %v", retired)
	}
	ours := s.must(t, post(token, a.path()+"/did/keys", map[string]any{}), 201, "")
	if ours.text("keyId") != did+"#key-3" || ours.text("custody") != "server" {
		t.Errorf("answer: %s", ours.body)
	}
	s.must(t, rotation(token, a, own.jwk(t), own.proof(t, did, s.base, nil)), 400, "VALIDATION_ERROR") // retired for good
	s.must(t, remove(s.operator, a.path()), 204, "")
	s.must(t, post(s.operator, a.path()+"/did/keys", map[string]any{}), 403, "AGENT_DECOMMISSIONED")
}

func TestAProofMustBeGood(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "agents:read")
	token, own, did := s.token(t, a, ""), newDIDPair(t), s.didOf(a.id)
	now := time.Now()
	for name, claims := range map[string]map[string]any{
		"another subject": {"sub": s.didOf(newID())}, "no subject": {"sub": nil}, "another audience": {"aud": "https://elsewhere.example"},
		"one more audience": {"aud": []string{s.base, "https://elsewhere.example"}}, "no audience": {"aud": nil},
		"no iat": {"iat": nil}, "no exp": {"exp": nil}, "no jti": {"jti": nil}, "an empty jti": {"jti": ""}, "a jti that is a number": {"jti": 7},
		"too long a life": {"exp": now.Add(301 * time.Second).Unix(), "iat": now.Unix()},
		"expired":         {"iat": now.Add(-10 * time.Minute).Unix(), "exp": now.Add(-6 * time.Minute).Unix()},
		"ahead of time":   {"iat": now.Add(5 * time.Minute).Unix(), "exp": now.Add(6 * time.Minute).Unix()},
		"an end before":   {"iat": now.Unix(), "exp": now.Add(-time.Second).Unix()},
	} {
		if _, err := s.want(rotation(token, a, own.jwk(t), own.proof(t, did, s.base, claims)), 400, "VALIDATION_ERROR"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	good := own.proof(t, did, s.base, nil)
	parts := strings.Split(good, ".")
	header := func(text string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(text)) + "." + parts[1] + "."
	}
	for name, proof := range map[string]string{
		"another's signature": newDIDPair(t).proof(t, did, s.base, nil), "alg none": header(`{"alg":"none"}`),
		"a key in the header": header(`{"alg":"ES256","jwk":{}}`) + parts[2], "critical": header(`{"alg":"ES256","crit":["exp"]}`) + parts[2],
		"two parts": parts[0] + "." + parts[1], "padding": good + "=", "not a JWT": "x",
	} {
		if _, err := s.want(rotation(token, a, own.jwk(t), proof), 400, "VALIDATION_ERROR"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	private := own.jwk(t)
	private["d"] = "AAAA"
	off := own.jwk(t)
	off["y"] = off["x"]
	for name, body := range map[string]map[string]any{
		"a private key": {"publicKeyJwk": private, "proof": good}, "no point of the curve": {"publicKeyJwk": off, "proof": good},
		"no proof": {"publicKeyJwk": own.jwk(t)}, "proof alone": {"proof": good}, "P-384": {"publicKeyJwk": map[string]any{"kty": "EC", "crv": "P-384"}, "proof": good},
	} {
		if _, err := s.want(post(token, a.path()+"/did/keys", body), 400, "VALIDATION_ERROR"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if method := currentKey(s.must(t, get("", a.path()+"/did"), 200, "").object()); method["id"] != did+"#key-1" {
		t.Errorf("%s holds after refusals alone", method["id"])
	}
}

// A proof works once, whichever node it is shown to, however many ask at once.
func TestAProofWorksOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	nodes := []*server{s.server, s.another(t, "PUBLIC_URL="+s.base)}
	a := s.agent(t, s.organization(t, nil), "agents:read")
	token, own, did := s.token(t, a, ""), newDIDPair(t), s.didOf(a.id)
	shared := own.proof(t, did, s.base, nil)
	const tries = 8
	statuses := make([]int, tries)
	parallel(t, tries, func(i int) error {
		answer, err := nodes[i%len(nodes)].do(rotation(token, a, own.jwk(t), shared))
		statuses[i] = answer.status
		return err
	})
	slices.Sort(statuses)
	if statuses[0] != 201 || statuses[1] != 400 {
		t.Errorf("statuses %v, want one 201 and else 400", statuses)
	}
	numbers := map[string]bool{}
	parallel(t, tries, func(i int) error {
		_, err := nodes[i%len(nodes)].want(post(token, a.path()+"/did/keys", map[string]any{}), 201, "")
		return err
	})
	result := s.must(t, get(token, a.path()+"/did/resolve"), 200, "").object()
	metadata, _ := result["didDocumentMetadata"].(map[string]any)
	retired, _ := metadata["retiredMethods"].([]any)
	for _, entry := range retired {
		method, _ := entry.(map[string]any)
		id, _ := method["id"].(string)
		numbers[id] = true
	}
	if document, _ := result["didDocument"].(map[string]any); len(numbers) != tries+1 || currentKey(document)["id"] != fmt.Sprintf("%s#key-%d", did, tries+2) {
		t.Errorf("after %d rotations at once: %v", tries, result)
	}
}

func TestWhoMayRotateTheKeyOfADID(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	organization := s.organization(t, nil)
	a, writer := s.agent(t, organization, "agents:read audit:read"), s.agent(t, organization, "agents:read agents:write audit:read")
	keys, own := a.path()+"/did/keys", newDIDPair(t)
	brought := func(token string) request {
		return rotation(token, a, own.jwk(t), own.proof(t, s.didOf(a.id), s.base, nil))
	}
	narrow, narrowWriter := s.token(t, a, "agents:read"), s.token(t, writer, "agents:write")
	s.must(t, post(narrow, keys, map[string]any{}), 403, "INSUFFICIENT_SCOPE")
	s.must(t, brought(narrow), 403, "INSUFFICIENT_SCOPE")
	s.must(t, brought(narrowWriter), 403, "SCOPE_NOT_ALLOWED")
	s.must(t, post(narrowWriter, keys, map[string]any{}), 403, "SCOPE_NOT_ALLOWED")
	s.must(t, post(s.token(t, s.agent(t, s.organization(t, nil), "agents:read agents:write"), ""), keys, map[string]any{}), 403, "AUTHORIZATION_ERROR")
	s.must(t, post("", keys, map[string]any{}), 401, "UNAUTHORIZED")
	s.must(t, post(s.operator, "/api/v1/agents/"+newID()+"/did/keys", map[string]any{}), 404, "AGENT_NOT_FOUND")
	for _, token := range []string{s.token(t, a, ""), s.token(t, writer, ""), s.operator} {
		s.must(t, post(token, keys, map[string]any{}), 201, "")
	}
	key := request.with(post(s.operator, keys, map[string]any{}), "Idempotency-Key", "once")
	first := s.must(t, key, 201, "")
	if again := s.must(t, key, 201, ""); again.text("keyId") != first.text("keyId") {
		t.Errorf("repeated: %s, then %s", first.body, again.body)
	}
}

// past is the write side of the time before there were DID documents.
func past(tb testing.TB, world *servertest.World) *ledger.Ledger {
	tb.Helper()
	c := world.Config(tb)
	store, err := stores.OpenEngine(tb.Context(), c, pgtest.Pool(tb, world.Database.ServerURL), nil, nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(store.Close)
	return ledger.New(store, nil, nil, ledger.Options{})
}

func olderAgent(organization domain.OrganizationID) domain.RegisterAgent {
	id := domain.AgentID{UUID: ledger.NewID()}
	return domain.RegisterAgent{
		Caller:  domain.Caller{OrganizationID: organization, Scopes: domain.AllScopes()},
		AgentID: id, OrganizationID: organization, Email: id.String() + "@acme.example", DID: "did:web:older.example:agents:" + id.String(),
		Profile: domain.Profile{AgentType: domain.AgentCustom, Version: "1.0.0", Owner: "ops", DeploymentEnv: domain.EnvProduction},
	}
}

// Agents from before there were DID documents get theirs when a server starts, and
// private halves that no DID has are forgotten.
func TestOlderAgentsGetADIDDocument(t *testing.T) {
	t.Parallel()
	port := strconv.Itoa(freePort(t))
	world := servertest.NewWorld(t, "PUBLIC_URL=http://127.0.0.1:"+port)
	organization, err := domain.ParseOrganizationID(world.Operator.OrganizationID)
	if err != nil {
		t.Fatal(err)
	}
	before := past(t, world)
	const older = 205 // more than a page
	agents := make([]domain.RegisterAgent, older)
	parallel(t, older, func(i int) error {
		agents[i] = olderAgent(organization)
		_, err := before.RegisterAgent(t.Context(), ledger.System(), agents[i])
		return err
	})
	keys := pgtest.Pool(t, world.Database.SuperuserURL)
	for _, sql := range []string{
		`UPDATE did_keys SET created_at = now() - interval '2 days'`, // the operator's
		`INSERT INTO did_keys (kid, agent_id, sealed_private, created_at) VALUES ('lost', '` + newID() + `', 'x', now() - interval '2 days')`,
	} {
		if _, err := keys.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	s := enter(t, world, "PORT="+port)
	for _, agent := range agents {
		until(t, func() error {
			document, err := s.want(get("", "/agents/"+agent.AgentID.String()+"/did.json"), 200, "")
			if err == nil && document.text("id") != agent.DID {
				err = fmt.Errorf("the document is of %s, the agent was registered as %s", document.text("id"), agent.DID)
			}
			return err
		})
	}
	until(t, func() error {
		var lost, kept int
		err := keys.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE kid = 'lost'), count(*) FROM did_keys`).Scan(&lost, &kept)
		if err == nil && (lost != 0 || kept != older+2) { // with the operator's and the server's own
			err = fmt.Errorf("%d keys that nobody knows of are kept, %d in all", lost, kept)
		}
		return err
	})
}

func TestAReportMissesDIDDocuments(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	organization, err := domain.ParseOrganizationID(s.organization(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	s.agent(t, organization.String(), "agents:read")
	older := olderAgent(organization)
	until(t, func() error { // the job has run that would give it one
		var ran int
		err := pgtest.Pool(t, s.world.Database.SuperuserURL).
			QueryRow(t.Context(), `SELECT count(*) FROM job_runs WHERE name = 'did_creation' AND outcome = 'passed'`).Scan(&ran)
		if err == nil && ran == 0 {
			err = errors.New("the job has not run")
		}
		return err
	})
	if _, err := past(t, s.world).RegisterAgent(t.Context(), ledger.System(), older); err != nil {
		t.Fatal(err)
	}
	path := "/api/v1/agents/" + older.AgentID.String()
	until(t, func() error {
		_, err := s.want(get(s.operator, path), 200, "")
		return err
	})
	if shown := s.must(t, get(s.operator, path), 200, "").object(); shown["didCreatedAt"] != nil {
		t.Errorf("an agent without a document has one since %v", shown["didCreatedAt"])
	}
	s.must(t, get("", path+"/did"), 404, "AGENT_NOT_FOUND")
	s.must(t, get("", path+"/did/card"), 404, "AGENT_NOT_FOUND")
	report := s.must(t, get(s.operator, "/api/v1/compliance/report?organizationId="+organization.String()), 200, "")
	if report.text("overall_status") != "fail" || report.number("verified_agent_count") != 1 || report.object()["agntcy_conformance"] != false {
		t.Errorf("without a document the report is %s", report.body)
	}
	s.must(t, post(s.operator, path+"/did/keys", map[string]any{}), 201, "")
	if got := s.must(t, get("", path+"/did"), 200, "").text("id"); got != older.DID {
		t.Errorf("the document is of %s", got)
	}
}
