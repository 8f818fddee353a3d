package api_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

const tokenAnswers = "testdata/token_answers.txt"

// What the endpoints of tokens answer, letter for letter: status, headers, body,
// claims, and what is on record and in the metrics afterwards. The file was written
// by the program of before its way was straightened; run with UPDATE_TOKEN_ANSWERS=1 to
// write it again.
func TestTokenEndpointsAnswerAsTheyAlwaysDid(t *testing.T) {
	t.Parallel()
	s, _ := sceneAt(t, "PUBLIC_URL=https://idp.example", "RATE_LIMIT_MAX_REQUESTS=40", "TIER_ENFORCEMENT=true", "TRUSTED_PROXIES=127.0.0.0/8")
	r := newRecorder(t, s)
	for i, step := range r.steps(t) {
		r.record(t, fmt.Sprintf("198.51.100.%d", i+1), step)
	}
	r.recordFailures(t)
	r.recordMetrics(t)
	if os.Getenv("UPDATE_TOKEN_ANSWERS") != "" {
		if err := os.WriteFile(tokenAnswers, []byte(r.text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(tokenAnswers)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), r.text.String()); diff != "" {
		t.Errorf("answers (-before +now):\n%s", diff)
	}
}

// recorder writes down requests and their answers, with ids by name.
type recorder struct {
	*scene
	text  strings.Builder
	names map[string]string // by id or token

	client, other, idle, busy, suspended, inactive, limited agent
	key                                                     keyAgent
	lent, lentOnward, ended                                 lent
	ofOther, ofClient                                       string
}

// step is one request. It may be repeated; then the last two answers are written down.
type step struct {
	name string
	request
	times int // 0: once
}

func newRecorder(t *testing.T, s *scene) *recorder {
	t.Helper()
	r := &recorder{scene: s, names: map[string]string{}}
	organization, dead := s.organization(t, nil), s.organization(t, nil)
	free := s.organization(t, map[string]any{"planTier": "free", "maxTokensPerDay": 2})
	r.client = s.agent(t, organization, "agents:read audit:read openid tokens:read")
	r.other, r.idle, r.suspended = s.agent(t, organization, "agents:read"), s.agent(t, organization, "agents:read"), s.agent(t, organization, "agents:read")
	r.inactive, r.limited, r.busy = s.agent(t, dead, "agents:read"), s.agent(t, free, "agents:read"), s.agent(t, organization, "agents:read")
	r.key = s.keyAgent(t, organization, jwt.SigningMethodES256)
	r.ofClient, r.ofOther = s.token(t, r.client, ""), s.token(t, r.other, "")
	r.lent = s.delegate(t, r.ofClient, onward(r.other, "agents:read audit:read", 1))
	r.ended = s.delegate(t, r.ofClient, delegationWish(r.other, "agents:read"))
	s.must(t, remove(r.ofClient, r.ended.path()), 204, "")
	lentToken := s.exchange(t, r.ofOther, r.lent, "")
	r.lentOnward = s.delegate(t, lentToken, delegationWish(r.idle, "audit:read"))
	s.must(t, patch(s.operator, r.suspended.path(), map[string]any{"status": "suspended"}), 200, "")
	s.must(t, patch(s.operator, "/api/v1/organizations/"+dead, map[string]any{"status": "suspended"}), 200, "")
	for name, id := range map[string]string{
		"client": r.client.id, "other": r.other.id, "idle": r.idle.id, "busy": r.busy.id, "suspended": r.suspended.id, "inactive": r.inactive.id, "limited": r.limited.id,
		"organization": organization, "dead organization": dead, "free organization": free, "credential of client": r.client.credential,
		"credential of other": r.other.credential, "lent": r.lent.chain, "lent onward": r.lentOnward.chain, "operator": s.root.id,
	} {
		r.names[id] = "<" + name + ">"
	}
	return r
}

func (r *recorder) steps(t *testing.T) []step {
	form := func(a *agent, pairs ...string) request {
		q := tokenForm(append([]string{"grant_type", grant}, pairs...)...)
		q.basic = a
		return q
	}
	at := func(path string, q request) request { q.path = path; return q }
	wrong, gone := agent{id: r.client.id, secret: "sk_live_wrong"}, agent{id: uuid.NewString(), secret: "sk_live_wrong"}
	byKey := func(change map[string]any) request {
		claims := changed(r.key.claims("https://idp.example"), map[string]any{"iat": evening.Unix(), "nbf": evening.Unix(), "exp": evening.Unix() + 60})
		return byAssertion(r.key.sign(t, changed(claims, change)))
	}
	again := byKey(nil)
	introspected := func(a *agent, token string) request {
		return request{method: http.MethodPost, path: "/oauth2/introspect", basic: a, form: map[string][]string{"token": {token}}}
	}
	revoked := func(a *agent, token string) request { return at("/oauth2/revoke", introspected(a, token)) }
	by := func(a agent) *agent { return &a }
	exchanged := func(actor, token string, change ...string) request {
		q := exchangeRequest(actor, token, "")
		for i := 0; i+1 < len(change); i += 2 {
			q.form.Set(change[i], change[i+1])
		}
		return q
	}
	without := func(q request, names ...string) request {
		for _, name := range names {
			q.form.Del(name)
		}
		return q
	}
	bearer := introspected(nil, r.ofOther)
	bearer.token = r.ofClient
	poor := introspected(nil, r.ofOther)
	poor.token = r.ofOther
	asClient := exchanged("", r.lent.token)
	asClient = without(asClient, "actor_token", "actor_token_type")
	asOther := asClient
	asOther.basic = by(r.other)
	asWrong := asClient
	asWrong.basic = &wrong
	both := exchanged(r.ofOther, r.lent.token)
	both.basic = by(r.client)
	elsewhere := r.must(t, form(by(r.other), "resource", "https://elsewhere.example"), 200, "").text("access_token")
	mine := r.must(t, form(by(r.other)), 200, "").text("access_token")
	return []step{
		{"a token", form(by(r.client)), 0},
		{"a token by the form", form(nil, "client_id", r.client.id, "client_secret", r.client.secret, "scope", "agents:read"), 0},
		{"a token at the other path", at("/api/v1/token", form(by(r.client), "scope", "audit:read")), 0},
		{"a token for a resource, with a nonce", form(by(r.client), "resource", "https://api.example/x", "nonce", "n-1", "scope", "openid agents:read"), 0},
		{"no grant type", without(form(by(r.client), "scope", "agents:read"), "grant_type"), 0},
		{"a grant that nobody knows", tokenForm("grant_type", "password"), 0},
		{"a target that is none", form(by(r.client), "resource", "/x"), 0},
		{"two targets", form(by(r.client), "resource", "https://a.example", "audience", "https://b.example"), 0},
		{"no client", form(nil), 0},
		{"two ways at once", form(by(r.client), "client_secret", "x"), 0},
		{"another id than in the header", form(by(r.client), "client_id", r.other.id), 0},
		{"a wrong secret, repeated", form(&wrong), 3},
		{"a wrong secret in the form", form(nil, "client_id", r.client.id, "client_secret", "nonsense"), 0},
		{"an unknown client", form(&gone), 0},
		{"a client that is no id", form(&agent{id: "admin", secret: "x"}), 0},
		{"a secret without an id", form(nil, "client_secret", "x"), 0},
		{"Basic that cannot be read", form(nil).with("Authorization", "Basic ???"), 0},
		{"a scope beyond", form(by(r.client), "scope", "agents:write"), 0},
		{"a suspended agent", form(by(r.suspended)), 0},
		{"a suspended agent that asks too much", form(by(r.suspended), "scope", "agents:write"), 0},
		{"an agent of a suspended organization", form(by(r.inactive)), 0},
		{"an agent of a suspended organization that asks too much", form(by(r.inactive), "scope", "agents:write"), 0},
		{"an organization that has had its tokens", form(by(r.limited)), 4},
		{"too many wrong secrets", form(&agent{id: r.busy.id, secret: "sk_live_wrong"}), 24},
		{"and then the right one", form(by(r.busy)), 0},
		{"too many tokens", form(by(r.busy)), 41},
		{"an assertion", byKey(nil), 0},
		{"an assertion, twice", again, 2},
		{"an assertion for another audience", byKey(map[string]any{"aud": "https://elsewhere.example"}), 0},
		{"an assertion that has expired", byKey(map[string]any{"exp": evening.Unix() - 120}), 0},
		{"an assertion without a jti", byKey(map[string]any{"jti": nil}), 0},
		{"an assertion of nobody", byKey(map[string]any{"iss": gone.id, "sub": gone.id}), 0},
		{"an assertion of a suspended agent", byKey(map[string]any{"iss": r.suspended.id, "sub": r.suspended.id}), 0},
		{"an assertion by another's key", byKey(map[string]any{"iss": r.client.id, "sub": r.client.id}), 0},
		{"an assertion of no type", tokenForm("grant_type", grant, "client_assertion", "x"), 0},
		{"an assertion that is none", byAssertion("x"), 0},

		{"an exchange", exchanged(r.ofOther, r.lent.token), 0},
		{"an exchange for less", exchanged(r.ofOther, r.lent.token, "scope", "audit:read"), 0},
		{"an exchange onward", exchanged(r.token(t, r.idle, ""), r.lentOnward.token), 0},
		{"an exchange by client", asOther, 0},
		{"an exchange by a client with a wrong secret", asWrong, 0},
		{"an exchange by another client", both, 0},
		{"an exchange by nobody", asClient, 0},
		{"an exchange beyond", exchanged(r.ofOther, r.lent.token, "scope", "tokens:read"), 0},
		{"an exchange of what has ended", exchanged(r.ofOther, r.ended.token), 0},
		{"an exchange of what is forged", exchanged(r.ofOther, r.lent.token+"x"), 0},
		{"an exchange of another's", exchanged(r.ofClient, r.lent.token), 0},
		{"an exchange by a lent token", exchanged(r.exchange(t, r.ofOther, r.lent, ""), r.lent.token), 0},
		{"an exchange by a token for elsewhere", exchanged(elsewhere, r.lent.token), 0},
		{"an exchange by no token", exchanged("x", r.lent.token), 0},
		{"an exchange without a subject", without(exchanged(r.ofOther, r.lent.token), "subject_token"), 0},
		{"an exchange of another type", exchanged(r.ofOther, r.lent.token, "subject_token_type", "x"), 0},
		{"an exchange of half an actor", without(exchanged(r.ofOther, r.lent.token), "actor_token_type"), 0},

		{"introspection by a client", introspected(by(r.client), r.ofOther), 0},
		{"introspection by a bearer", bearer, 0},
		{"introspection by a bearer without the scope", poor, 0},
		{"introspection by nobody", introspected(nil, r.ofOther), 0},
		{"introspection with a wrong secret", introspected(&wrong, r.ofOther), 0},
		{"introspection of one's own alone", introspected(by(r.other), r.ofClient), 0},
		{"introspection by an agent of a suspended organization", introspected(by(r.inactive), r.ofOther), 0},
		{"introspection by a suspended agent", introspected(by(r.suspended), r.ofOther), 0},
		{"introspection of nothing", introspected(by(r.client), ""), 0},
		{"introspection of nonsense", introspected(by(r.client), "x"), 0},
		{"introspection of a delegation", introspected(by(r.client), r.lent.token), 0},
		{"introspection of one that was lent on", introspected(by(r.client), r.lentOnward.token), 0},
		{"introspection of a delegation that has ended", introspected(by(r.client), r.ended.token), 0},

		{"revocation with a wrong secret", revoked(&wrong, mine), 0},
		{"revocation of another's", revoked(by(r.client), mine), 0},
		{"revocation", revoked(by(r.other), mine), 2},
		{"introspection of what was revoked", introspected(by(r.client), mine), 0},
		{"revocation of nonsense", revoked(by(r.other), "x"), 0},
		{"revocation of nothing", revoked(by(r.other), ""), 0},
		{"revocation of another's delegation", revoked(by(r.other), r.lent.token), 0},
		{"revocation of a delegation", revoked(by(r.client), r.lent.token), 2},
		{"an exchange after that", exchanged(r.ofOther, r.lent.token), 0},
		{"no page", request{method: http.MethodGet, path: "/oauth2/authorize?response_type=code"}, 0},
	}
}

var shownHeaders = []string{
	"Cache-Control", "Pragma", "Retry-After", "WWW-Authenticate", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Content-Type",
}

func (r *recorder) record(t *testing.T, address string, s step) {
	t.Helper()
	for i := range max(1, s.times) {
		got, err := r.do(s.with("X-Forwarded-For", address))
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if i < s.times-2 {
			continue
		}
		fmt.Fprintf(&r.text, "## %s, %d\n%d\n", s.name, i+1, got.status)
		for _, name := range shownHeaders {
			if values := got.header.Values(name); len(values) > 0 {
				fmt.Fprintf(&r.text, "%s: %s\n", name, strings.Join(values, " | "))
			}
		}
		fmt.Fprintf(&r.text, "%s\n\n", r.named(t, strings.TrimSuffix(string(got.body), "\n")))
	}
}

var (
	aToken    = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`)
	anID      = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	aPosition = regexp.MustCompile(`"(ledger|basis)":[0-9]+`)
	aKeyID    = regexp.MustCompile(`"kid":"[^"]+"`)
)

// named replaces what differs from run to run, and opens tokens.
func (r *recorder) named(t *testing.T, text string) string {
	t.Helper()
	text = aToken.ReplaceAllStringFunc(text, func(token string) string {
		opened := ""
		for _, part := range strings.Split(token, ".")[:2] {
			raw, err := base64.RawURLEncoding.DecodeString(part)
			if err != nil {
				t.Fatal(err)
			}
			opened += string(raw)
		}
		return opened
	})
	text = anID.ReplaceAllStringFunc(text, func(id string) string {
		if name, known := r.names[id]; known {
			return name
		}
		return "<id>"
	})
	return aKeyID.ReplaceAllString(aPosition.ReplaceAllString(text, `"$1":<position>`), `"kid":"<kid>"`)
}

// recordFailures writes down the failed authentications that are on record.
func (r *recorder) recordFailures(t *testing.T) {
	t.Helper()
	var lines []string
	for _, query := range []string{"", "organizationId=" + r.client.organization} {
		for _, event := range r.must(t, get(r.operator, "/api/v1/audit?limit=100&action=auth.failed&"+query), 200, "").list("data") {
			metadata, err := json.Marshal(event["metadata"])
			if err != nil {
				t.Fatal(err)
			}
			actor, err := json.Marshal(event["actor"])
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, r.named(t, fmt.Sprintf("of %v: %s by %s", event["organizationId"], metadata, actor)))
		}
	}
	slices.Sort(lines)
	fmt.Fprintf(&r.text, "## failures on record\n%s\n\n", strings.Join(lines, "\n"))
}

func (r *recorder) recordMetrics(t *testing.T) {
	t.Helper()
	metrics := string(r.must(t, get("", "/metrics"), 200, "").body)
	r.text.WriteString("## metrics\n")
	for line := range strings.Lines(metrics) {
		for _, name := range []string{
			"agentidp_tokens_issued_total", "agentidp_auth_failures_total", "agentidp_bearer_tokens_rejected_total", "agentidp_rate_limit_hits_total",
			"agentidp_delegations_", `agentidp_http_requests_total{method="POST",route="/oauth2/`,
		} {
			if strings.HasPrefix(line, name) {
				r.text.WriteString(line)
			}
		}
	}
}
