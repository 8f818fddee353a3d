package openapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/gen"
)

// FuzzCheck holds that no request at all makes the checks panic or answer
// anything but 400, 413 or 415, and that every body let through can be decoded
// by a handler.
func FuzzCheck(f *testing.F) {
	f.Add(uint8(0), "application/json", "", []byte(`{"name":"n","slug":"sl","maxAgents":7}`))
	f.Add(uint8(1), "application/json", "", []byte(`{"version":"1.0.0","metadata":{"a":[1,{"b":null}]}}`))
	f.Add(uint8(2), "application/json", "", []byte(`{"expiresAt":"2027-01-01T00:00:00Z"}`))
	f.Add(uint8(3), "application/x-www-form-urlencoded", "", []byte("grant_type=client_credentials&scope=openid"))
	f.Add(uint8(4), "", "limit=10&owner=a%20b&page=2", []byte(nil))
	f.Add(uint8(4), "", "limit=%00&;x", []byte("x"))
	spec := mustLoadSpec(f)
	targets := []struct {
		method, path string
		decode       func() any
	}{
		{"POST", "/api/v1/organizations", func() any { return new(gen.OrganizationCreate) }},
		{"PATCH", someAgent, func() any { return new(gen.AgentUpdate) }},
		{"POST", someAgent + "/credentials", func() any { return new(gen.CredentialCreate) }},
		{"POST", "/oauth2/token", nil},
		{"GET", "/api/v1/audit", nil},
	}
	f.Fuzz(func(t *testing.T, which uint8, contentType, query string, body []byte) {
		target := targets[int(which)%len(targets)]
		request := &http.Request{
			Method: target.method, URL: &url.URL{Path: target.path, RawQuery: query},
			Header: http.Header{"Content-Type": {contentType}}, ContentLength: -1,
		}
		request.Body = nopCloser{bytes.NewReader(body)}
		got := sendChecked(t, spec, request)
		switch got.status {
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
			return
		case http.StatusNoContent:
		default:
			t.Fatalf("got %d %s", got.status, got.recorder.Body)
		}
		if target.decode == nil || got.body == "" {
			return
		}
		if err := json.Unmarshal([]byte(got.body), target.decode()); err != nil {
			t.Errorf("%q passed but cannot be decoded: %v", got.body, err)
		}
	})
}

type nopCloser struct{ *bytes.Reader }

func (nopCloser) Close() error { return nil }

func BenchmarkCheck(b *testing.B) {
	spec := mustLoadSpec(b)
	gin.SetMode(gin.TestMode)
	for _, bench := range []struct{ name, method, pattern, target, contentType, body string }{
		{"get", "GET", "/api/v1/agents/:agentId", someAgent, "", ""},
		{"list", "GET", "/api/v1/agents", "/api/v1/agents?page=2&limit=50&status=active", "", ""},
		{"token", "POST", "/oauth2/token", "/oauth2/token", mediaForm, "grant_type=client_credentials&scope=agents%3Aread"},
		{"patch", "PATCH", "/api/v1/agents/:agentId", someAgent, mediaJSON, `{"version":"1.2.3","capabilities":["a:b"],"metadata":{"k":"v"}}`},
	} {
		b.Run(bench.name, func(b *testing.B) {
			engine := gin.New()
			engine.Use(func(c *gin.Context) {
				if err := spec.Check(c); err != nil {
					b.Error(err)
				}
			})
			engine.Handle(bench.method, bench.pattern, func(c *gin.Context) { c.Status(http.StatusNoContent) })
			request := httptest.NewRequest(bench.method, bench.target, http.NoBody)
			recorder := httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				if bench.body != "" {
					request.Header.Set("Content-Type", bench.contentType)
					request.Body = nopCloser{bytes.NewReader([]byte(bench.body))}
				}
				engine.ServeHTTP(recorder, request)
			}
		})
	}
}
