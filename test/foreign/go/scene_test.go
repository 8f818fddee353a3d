// Package foreign_test runs Go libraries of other people against a live server.
// It is a module of its own, so that the product's go.mod stays small. The
// tests of the folder above start the server and run these.
package foreign_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// scene is what the tests above tell of the server and of those who sign in.
type scene struct {
	Issuer     string               `json:"issuer"`
	Nodes      map[string]string    `json:"nodes"`
	Secret     secretClient         `json:"secret"`
	Other      secretClient         `json:"other"`
	Keys       map[string]keyClient `json:"keys"`
	Delegation string               `json:"delegation"`
}

type secretClient struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`
}

type keyClient struct {
	ID  string          `json:"id"`
	JWK json.RawMessage `json:"jwk"`
	PEM string          `json:"pem"`
}

const (
	tokenTypeAccess     = "urn:ietf:params:oauth:token-type:access_token"
	tokenTypeDelegation = "urn:sentryagent:params:oauth:token-type:delegation"
	grantExchange       = "urn:ietf:params:oauth:grant-type:token-exchange"
)

func loadScene(t *testing.T) scene {
	t.Helper()
	content, err := os.ReadFile(os.Getenv("FOREIGN_SCENE"))
	if err != nil {
		t.Fatalf("%v: run make test-foreign, which starts a server", err)
	}
	var s scene
	if err := json.Unmarshal(content, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// algorithms are those that the server signs tokens with.
func (s scene) algorithms() []string { return []string{"RS256", "ES256"} }

// token gets an access token without any library, from the node that signs with
// an algorithm: for libraries that only verify.
func (s scene) token(t *testing.T, algorithm, scope string) (access, id string) {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {scope}, "nonce": {"n-1"}}
	var answer struct {
		AccessToken string `json:"access_token"`
		IDToken     string `json:"id_token"`
	}
	s.post(t, s.Nodes[algorithm]+"/oauth2/token", s.Secret, form, &answer)
	return answer.AccessToken, answer.IDToken
}

// introspect asks about a token as an agent that may.
func (s scene) introspect(ctx context.Context, token string) (map[string]any, error) {
	var seen map[string]any
	err := s.send(ctx, s.Issuer+"/oauth2/introspect", s.Other, url.Values{"token": {token}}, &seen)
	return seen, err
}

func (s scene) revoke(t *testing.T, token string) {
	t.Helper()
	s.post(t, s.Issuer+"/oauth2/revoke", s.Secret, url.Values{"token": {token}}, nil)
}

func (s scene) post(t *testing.T, address string, client secretClient, form url.Values, answer any) {
	t.Helper()
	if err := s.send(t.Context(), address, client, form, answer); err != nil {
		t.Fatal(err)
	}
}

func (s scene) send(ctx context.Context, address string, client secretClient, form url.Values, answer any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(client.ID, client.Secret)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s %s, %w", address, response.Status, content, err)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(content, answer)
}

// status is what the API answers to a client's call.
func (s scene) status(t *testing.T, client *http.Client) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Issuer+"/api/v1/agents", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// statusOf is what the API answers to a token.
func (s scene) statusOf(t *testing.T, token string) int {
	t.Helper()
	return s.status(t, &http.Client{Transport: bearer(token)})
}

type bearer string

func (b bearer) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(request)
}

// tampered is a token with another signature.
func tampered(t *testing.T, token string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	signature, err := jwt.NewParser().DecodeSegment(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	signature = bytes.Clone(signature)
	signature[7] ^= 1
	encoded := (&jwt.Token{}).EncodeSegment(signature)
	return parts[0] + "." + parts[1] + "." + encoded
}
