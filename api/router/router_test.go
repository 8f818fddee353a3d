package router

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

func pass(*gin.Context) error { return nil }

// serving is a router for routes, with steps that let everything pass.
func serving(t *testing.T, steps Steps, routes ...Route) *Router {
	t.Helper()
	if steps.Validate == nil {
		steps.Validate = pass
	}
	r := New(Options{
		Now: func() time.Time { return time.Unix(1000, 0) }, Logger: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
	}, steps)
	if err := r.Add(routes...); err != nil {
		t.Fatal(err)
	}
	return r
}

func ask(t *testing.T, r *Router, path string) *httptest.ResponseRecorder {
	t.Helper()
	recorder := httptest.NewRecorder()
	r.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
	return recorder
}

func open(path string, handler Handler) Route {
	return Route{Method: http.MethodGet, Path: path, Access: Open, Handler: handler}
}

func TestAnErrorBecomesTheAnswerThatItsPathPromises(t *testing.T) {
	t.Parallel()
	in9s := domain.Refuse(CodeRateLimit, "slow down").With(DetailResetAt, time.Unix(1008, 500))
	for name, test := range map[string]struct {
		err          error
		rest, oauth  int
		code, called string // by REST and by OAuth
		again        string // Retry-After
	}{
		"a refusal":         {domain.Refuse(domain.CodeAgentExists, "taken"), 409, 409, "AGENT_ALREADY_EXISTS", "invalid_request", ""},
		"of a scope":        {domain.Refuse(domain.CodeScopeNotAllowed, "no"), 403, 400, "SCOPE_NOT_ALLOWED", "invalid_scope", ""},
		"wrapped":           {errors.Join(errors.New("because"), domain.Refuse(domain.CodeUnauthorized, "who?")), 401, 401, "UNAUTHORIZED", "invalid_token", ""},
		"too many":          {in9s, 429, 429, "RATE_LIMIT_EXCEEDED", "temporarily_unavailable", "9"},
		"nothing found":     {readmodels.ErrNotFound, 404, 404, "NOT_FOUND", "invalid_request", ""},
		"nothing known":     {errors.New("disk on fire"), 500, 500, "INTERNAL_SERVER_ERROR", "server_error", ""},
		"given up":          {context.DeadlineExceeded, 503, 503, "SERVICE_UNAVAILABLE", "temporarily_unavailable", "1"},
		"no code we know":   {domain.Refuse("NEW", "new"), 500, 500, "NEW", "server_error", ""},
		"RFC 6749's own":    {&OAuthError{http.StatusUnauthorized, "invalid_client", "who\"?"}, 401, 401, "", "invalid_client", ""},
		"not here any more": {domain.Refuse(domain.CodeUnavailable, "later"), 503, 503, "SERVICE_UNAVAILABLE", "temporarily_unavailable", "1"},
	} {
		fails := func(*gin.Context) error { return test.err }
		r := serving(t, Steps{}, open("/api/v1/x", fails), open("/oauth2/x", fails))
		for path, want := range map[string]int{"/api/v1/x": test.rest, "/oauth2/x": test.oauth} {
			answer := ask(t, r, path)
			var body struct{ Code, Error string }
			if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil {
				t.Fatalf("%s at %s: %v", name, path, err)
			}
			if answer.Code != want || answer.Header().Get("Retry-After") != test.again {
				t.Errorf("%s at %s: %d, Retry-After %q; want %d, %q", name, path, answer.Code, answer.Header().Get("Retry-After"), want, test.again)
			}
			if strings.HasPrefix(path, "/oauth2/") && body.Error != test.called || !strings.HasPrefix(path, "/oauth2/") && body.Code != test.code {
				t.Errorf("%s at %s: %s", name, path, answer.Body)
			}
			if strings.Contains(answer.Body.String(), "fire") {
				t.Errorf("%s at %s tells what is not for clients: %s", name, path, answer.Body)
			}
		}
	}
}

func TestAPanicIsA500(t *testing.T) {
	t.Parallel()
	r := serving(t, Steps{}, open("/api/v1/x", func(*gin.Context) error { panic("oh") }))
	if answer := ask(t, r, "/api/v1/x"); answer.Code != http.StatusInternalServerError || answer.Header().Get("X-Request-Id") == "" {
		t.Errorf("%d %v", answer.Code, answer.Header())
	}
}

// What a row says about caching is said of an answer, and never of an error.
func TestErrorsAreNotCached(t *testing.T) {
	t.Parallel()
	row := open("/x", func(c *gin.Context) error {
		if c.Query("fail") != "" {
			return ErrNothingHere
		}
		c.Status(http.StatusNoContent)
		return nil
	})
	row.Cache = "public, max-age=300"
	private := row
	private.Path = "/api/v1/x"
	r := serving(t, Steps{}, row, private)
	for path, want := range map[string]string{
		"/x": row.Cache, "/x?fail=1": "", "/api/v1/x": row.Cache, "/api/v1/x?fail=1": "no-store", "/api/v1/nothing": "no-store",
	} {
		if got := ask(t, r, path).Header().Get("Cache-Control"); got != want {
			t.Errorf("%s: Cache-Control %q, want %q", path, got, want)
		}
	}
}

// Who may call comes before what is well-formed, and what a row asks for after both.
func TestStepsComeInOrder(t *testing.T) {
	t.Parallel()
	var taken []string
	step := func(name string) Step {
		return func(*gin.Context) error {
			taken = append(taken, name)
			return nil
		}
	}
	steps := Steps{
		Authenticate: func(endpoint string) (Step, error) { return step(endpoint), nil },
		Admit:        step("admit"), Current: step("current"), Validate: step("validate"),
		Limits:  map[Limit]Step{States: step("states")},
		Reads:   map[Read]Step{AtPosition: step("position"), AtHead: step("head")},
		Repeats: map[Repeat]Step{Once: step("once")},
	}
	handler := Handler(step("handler"))
	r := serving(t, steps,
		Route{Method: http.MethodGet, Path: "/all/{id}", Limit: States, Read: AtHead, Repeat: Once, Handler: handler},
		Route{Method: http.MethodGet, Path: "/open", Access: Open, Read: AtPosition, Handler: handler},
	)
	for path, want := range map[string][]string{
		"/all/7": {"GET /all/{id}", "admit", "current", "validate", "states", "head", "once", "handler"},
		"/open":  {"validate", "position", "handler"},
	} {
		if taken = nil; ask(t, r, path).Code != http.StatusOK || !slices.Equal(taken, want) {
			t.Errorf("%s: %q, want %q", path, taken, want)
		}
	}
	steps.Admit = func(*gin.Context) error { return ErrNothingHere }
	refusing := serving(t, steps, Route{Method: http.MethodGet, Path: "/all", Handler: handler})
	if taken = nil; ask(t, refusing, "/all").Code != http.StatusNotFound || !slices.Equal(taken, []string{"GET /all"}) {
		t.Errorf("after a step that refuses: %q", taken)
	}
}

func TestARowThatAsksForWhatThereIsNotIsRefused(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]Route{
		"a limit":      {Access: Open, Limit: States},
		"a position":   {Access: Open, Read: AtPosition},
		"a repetition": {Access: Open, Repeat: Once},
		"nothing here": {},
	} {
		row.Method, row.Path, row.Handler = http.MethodGet, "/x", pass
		steps := Steps{Validate: pass, Authenticate: func(string) (Step, error) { return nil, errors.New("nobody may") }}
		r := New(Options{Now: time.Now, Logger: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry()}, steps)
		if err := r.Add(row); err == nil {
			t.Errorf("%s: added", name)
		}
	}
}
