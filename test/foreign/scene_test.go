package foreign_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/sentryagent/agentidp/server/servertest"
)

// scene is what clients get to know, as JSON in the file that FOREIGN_SCENE
// names: two nodes of one server, which sign with different algorithms, and
// agents to sign in as.
type scene struct {
	Issuer     string               `json:"issuer"`     // where the first node is, too
	Nodes      map[string]string    `json:"nodes"`      // base URL by the algorithm that the node signs with
	Secret     secretClient         `json:"secret"`     // may read agents and introspect
	Other      secretClient         `json:"other"`      // of the same organization
	Keys       map[string]keyClient `json:"keys"`       // by algorithm
	Delegation string               `json:"delegation"` // a delegation token of agents:read, from Other to Secret
}

type secretClient struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`
}

type keyClient struct {
	ID  string          `json:"id"`
	JWK json.RawMessage `json:"jwk"` // with the private part
	PEM string          `json:"pem"` // the private key (PKCS #8)
}

const agentScopes = "agents:read tokens:read openid"

// newScene starts the server on ports of its own, as its users reach it, and
// registers the agents.
func newScene(t *testing.T) *scene {
	t.Helper()
	port := freePort(t)
	issuer := "http://localhost:" + port
	w := servertest.NewWorld(t, "PUBLIC_URL="+issuer)
	w.Serve(t, "PORT="+port, "JWT_SIGNING_ALG=RS256")
	s := &scene{
		Issuer: issuer,
		Nodes:  map[string]string{"RS256": issuer, "ES256": w.Serve(t, "JWT_SIGNING_ALG=ES256")},
		Keys:   map[string]keyClient{},
	}
	operator := s.token(t, secretClient{w.Operator.ClientID, w.Operator.ClientSecret}, "admin:orgs agents:write "+agentScopes)
	organization := s.post(t, operator, "/api/v1/organizations", map[string]any{"name": "Foreign", "slug": "foreign"})["organizationId"]
	s.Secret = s.secretClient(t, operator, organization, "secret")
	s.Other = s.secretClient(t, operator, organization, "other")
	for algorithm, key := range newKeys(t) {
		s.Keys[algorithm] = s.keyClient(t, operator, organization, algorithm, key)
	}
	s.Delegation, _ = s.post(t, s.token(t, s.Other, "agents:read"), "/oauth2/token/delegate", map[string]any{
		"delegateeAgentId": s.Secret.ID, "scopes": []string{"agents:read"}, "ttlSeconds": 3600,
	})["delegationToken"].(string)
	return s
}

// environ tells a client where the scene is.
func (s *scene) environ(t *testing.T) []string {
	t.Helper()
	content, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "scene.json")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"FOREIGN_SCENE=" + file}
}

func (s *scene) agent(t *testing.T, operator string, organization any, name string) (id string) {
	t.Helper()
	id, _ = s.post(t, operator, "/api/v1/agents", map[string]any{
		"organizationId": organization, "email": strings.ToLower(name) + "@foreign.example", "agentType": "custom", "version": "1.0.0",
		"capabilities": []string{}, "owner": "tests", "deploymentEnv": "development", "scopes": strings.Fields(agentScopes),
	})["agentId"].(string)
	return id
}

func (s *scene) secretClient(t *testing.T, operator string, organization any, name string) secretClient {
	t.Helper()
	id := s.agent(t, operator, organization, name)
	secret, _ := s.post(t, operator, "/api/v1/agents/"+id+"/credentials", map[string]any{})["clientSecret"].(string)
	return secretClient{ID: id, Secret: secret}
}

func (s *scene) keyClient(t *testing.T, operator string, organization any, algorithm string, key crypto.Signer) keyClient {
	t.Helper()
	id := s.agent(t, operator, organization, algorithm)
	private := jose.JSONWebKey{Key: key, KeyID: algorithm + "-key", Algorithm: algorithm, Use: "sig"}
	jwk, err := private.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s.post(t, operator, "/api/v1/agents/"+id+"/credentials", map[string]any{"kind": "private_key_jwt", "publicKeyJwk": private.Public()})
	return keyClient{ID: id, JWK: jwk, PEM: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))}
}

// newKeys makes a key for each algorithm that clients may sign assertions with.
func newKeys(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{"RS256": rsaKey, "PS256": rsaKey, "ES256": p256, "ES384": p384, "EdDSA": ed}
}

func (s *scene) token(t *testing.T, client secretClient, scope string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {scope}, "client_id": {client.ID}, "client_secret": {client.Secret}}
	answer := s.send(t, "", "/oauth2/token", "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
	token, _ := answer["access_token"].(string)
	return token
}

func (s *scene) post(t *testing.T, token, path string, body any) map[string]any {
	t.Helper()
	content, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return s.send(t, token, path, "application/json", bytes.NewReader(content))
}

// send gives the answer of a request that must succeed.
func (s *scene) send(t *testing.T, token, path, mediaType string, body io.Reader) map[string]any {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Issuer+path, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", mediaType)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	answer := map[string]any{}
	if err := json.Unmarshal(content, &answer); err != nil || response.StatusCode >= 300 {
		t.Errorf("POST %s: %d %s", path, response.StatusCode, content)
	}
	return answer
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	address, _ := listener.Addr().(*net.TCPAddr)
	return strconv.Itoa(address.Port)
}
