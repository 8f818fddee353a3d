package system_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
)

// client calls one server as its users do.
type client struct {
	base string
	http *http.Client
}

func newClient(tb testing.TB, base string) *client {
	tb.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 128}
	tb.Cleanup(transport.CloseIdleConnections)
	return &client{base: base, http: &http.Client{Transport: transport, Timeout: patience}}
}

// reply is an answer that arrived whole.
type reply struct {
	status int
	header http.Header
	raw    []byte
	body   map[string]any // nil when raw is no JSON object
}

func (r reply) text(field string) string {
	s, _ := r.body[field].(string)
	return s
}

func (r reply) String() string { return fmt.Sprintf("%d %s", r.status, r.raw) }

// token asks for an access token by client credentials.
func (c *client) token(ctx context.Context, id, secret, scope string) (reply, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if scope != "" {
		form.Set("scope", scope)
	}
	return c.form(ctx, "/oauth2/token", id, secret, form)
}

// form posts a form as an authenticated client.
func (c *client) form(ctx context.Context, path, id, secret string, form url.Values) (reply, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return reply{}, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	return c.send(request)
}

// call sends a request with a bearer token, and a JSON body where there is one.
func (c *client) call(ctx context.Context, method, path, token string, body any) (reply, error) {
	return c.callOnce(ctx, "", method, path, token, body)
}

// callOnce is call with an Idempotency-Key, unless that is empty.
func (c *client) callOnce(ctx context.Context, key, method, path, token string, body any) (reply, error) {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return reply{}, err
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return reply{}, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	return c.send(request)
}

func (c *client) send(request *http.Request) (reply, error) {
	response, err := c.http.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return reply{}, err
	}
	r := reply{status: response.StatusCode, header: response.Header, raw: raw}
	_ = json.Unmarshal(raw, &r.body) // what is no object has no fields
	return r, nil
}

// must is call with the status that is wanted.
func (c *client) must(tb testing.TB, status int, method, path, token string, body any) reply {
	tb.Helper()
	r, err := c.call(within(tb, patience), method, path, token, body)
	if err != nil || r.status != status {
		tb.Fatalf("%s %s: got %v, %v; want %d", method, path, r, err, status)
	}
	return r
}

func (c *client) mustToken(tb testing.TB, id, secret, scope string) string {
	tb.Helper()
	r, err := c.token(within(tb, patience), id, secret, scope)
	if err != nil || r.status != http.StatusOK {
		tb.Fatalf("token: got %v, %v; want 200", r, err)
	}
	return r.text("access_token")
}

// tokenClaims are those of an access token that the tests look at.
type tokenClaims struct {
	ID     string              `json:"jti"`
	Ledger eventstore.Position `json:"ledger"`
}

func claimsOf(tb testing.TB, token string) tokenClaims {
	tb.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		tb.Fatalf("a token of %d parts: %q", len(parts), token)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims tokenClaims
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	if err != nil || claims.ID == "" || claims.Ledger == 0 {
		tb.Fatalf("claims %s of token %q: %v", payload, token, err)
	}
	return claims
}

// healthy waits until a server says that it can do its work.
func (c *client) healthy(tb testing.TB, limit time.Duration) {
	tb.Helper()
	awaitWithin(tb, limit, c.base+" to be healthy", func(ctx context.Context) error {
		r, err := c.call(ctx, http.MethodGet, "/health", "", nil)
		if err == nil && r.text("status") != "healthy" {
			err = fmt.Errorf("%v", r)
		}
		return err
	})
}
