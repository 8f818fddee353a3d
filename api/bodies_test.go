package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/uuid"
)

// badRequest is a request that must be refused with one of two statuses.
type badRequest struct {
	name    string
	body    string
	media   string // application/json, or the form's, when empty
	coding  string
	chunked bool
	status  int // 400 when 0
}

// sample is a good JSON body of an operation: the first of its examples.
func (o operation) sample(tb testing.TB) map[string]any {
	tb.Helper()
	examples := o.RequestBody.Value.Content["application/json"].Examples
	encoded, err := json.Marshal(examples[slices.Sorted(maps.Keys(examples))[0]].Value.Value)
	var body map[string]any
	if err == nil {
		err = json.Unmarshal(encoded, &body)
	}
	if err != nil {
		tb.Fatalf("%s: %v", o, err)
	}
	return body
}

func (o operation) takesJSON() bool { return o.RequestBody.Value.Content["application/json"] != nil }

func encode(tb testing.TB, body any) string {
	tb.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		tb.Fatal(err)
	}
	return string(encoded)
}

// badJSON is everything that is wrong with a JSON body, made from a good one.
func badJSON(tb testing.TB, o operation) []badRequest {
	tb.Helper()
	good := o.sample(tb)
	text := encode(tb, good)
	inside := func(member string) string { return strings.TrimSuffix(text, "}") + "," + member + "}" }
	first := slices.Sorted(maps.Keys(good))[0]
	const deep = 10_000
	bad := []badRequest{
		{name: "half an object", body: text[:len(text)-1]},
		{name: "rubbish", body: "rubbish"},
		{name: "two objects", body: text + text},
		{name: "trailing comma", body: strings.TrimSuffix(text, "}") + ",}"},
		{name: "single quotes", body: strings.ReplaceAll(text, `"`, `'`)},
		{name: "comment", body: "/* hello */" + text},
		{name: "byte order mark", body: "\ufeff" + text},
		{name: "array", body: "[" + text + "]"},
		{name: "string", body: `"text"`},
		{name: "number", body: "7"},
		{name: "blank", body: "   "},
		{name: "unknown field", body: inside(`"surprise":1`)},
		{name: "prototype", body: inside(`"__proto__":{"admin":true}`)},
		{name: "field in another case", body: inside(`"` + strings.ToUpper(first) + `":1`)},
		{name: "duplicate key", body: inside(encode(tb, first) + ":" + encode(tb, good[first]))},
		{name: "duplicate key, escaped", body: inside(fmt.Sprintf(`"\u%04x%s":%s`, first[0], first[1:], encode(tb, good[first])))},
		{name: "deep arrays", body: strings.Repeat("[", deep) + strings.Repeat("]", deep)},
		{name: "deep objects", body: strings.Repeat(`{"a":`, deep) + "1" + strings.Repeat("}", deep)},
		{name: "deep field", body: inside(`"metadata":` + strings.Repeat("[", deep) + strings.Repeat("]", deep))},
		{name: "deep unclosed", body: strings.Repeat("[", deep)},
		{name: "huge", body: inside(`"description":"` + strings.Repeat("x", 70<<10) + `"`), status: 413},
		{name: "huge, chunked", body: inside(`"description":"` + strings.Repeat("x", 70<<10) + `"`), chunked: true, status: 413},
		{name: "huge blank", body: strings.Repeat(" ", 70<<10) + text, chunked: true, status: 413},
		{name: "raw NUL", body: text + "\x00"},
		{name: "invalid UTF-8", body: inside("\"description\":\"\xff\xfe\"")},
		{name: "lone surrogate", body: inside(`"description":"\ud800"`)},
		{name: "plain text", body: text, media: "text/plain", status: 415},
		{name: "form", body: "a=b", media: "application/x-www-form-urlencoded", status: 415},
		{name: "no content type", body: text, media: "-", status: 415},
		{name: "Latin-1", body: text, media: "application/json; charset=latin1", status: 415},
		{name: "two content types", body: text, media: "application/json,text/plain", status: 415},
		{name: "compressed", body: text, coding: "gzip", status: 415},
	}
	if o.RequestBody.Value.Required {
		bad = append(bad, badRequest{name: "empty"}, badRequest{name: "empty object", body: "{}"}, badRequest{name: "null", body: "null"})
	}
	for name := range o.RequestBody.Value.Content["application/json"].Schema.Value.Properties {
		for kind, value := range map[string]string{
			"huge number": "1e999999", "huge integer": strings.Repeat("9", 400), "many objects": `[{"a":{}},{"b":[]}]`,
			"NUL in a string": `"a\u0000b"`, "nested": `{"wrong":{"type":[1]},"\u0000":1}`, "minus nothing": "-", "not a number": "NaN",
		} {
			changed := maps.Clone(good)
			delete(changed, name)
			body := strings.TrimSuffix(encode(tb, changed), "}") + "," + encode(tb, name) + ":" + value + "}"
			bad = append(bad, badRequest{name: kind + " as " + name, body: strings.Replace(body, "{,", "{", 1)})
		}
	}
	return bad
}

// badForms is everything that is wrong with a form; unknown fields are none
// of it (RFC 6749 section 3.2).
func badForms() []badRequest {
	const good = "grant_type=client_credentials&token=x"
	return []badRequest{
		{name: "empty"},
		{name: "JSON", body: `{"grant_type":"client_credentials"}`, media: "application/json"},
		{name: "plain text", body: good, media: "text/plain"},
		{name: "multipart", body: good, media: "multipart/form-data; boundary=x"},
		{name: "no content type", body: good, media: "-"},
		{name: "compressed", body: good, coding: "gzip"},
		{name: "JSON as a form", body: `{"grant_type":"client_credentials"}`},
		{name: "broken escape", body: good + "&x=%zz"},
		{name: "semicolon", body: good + ";x=1"},
		{name: "NUL", body: good + "&x=%00"},
		{name: "raw NUL", body: good + "&x=\x00"},
		{name: "invalid UTF-8", body: good + "&x=%ff"},
		{name: "duplicate", body: good + "&" + good},
		{name: "huge", body: good + "&x=" + strings.Repeat("x", 70<<10), status: 413},
		{name: "huge, chunked", body: good + "&x=" + strings.Repeat("x", 70<<10), chunked: true, status: 413},
		{name: "long value", body: good + "&client_id=" + strings.Repeat("x", 20_000)},
		{name: "deep", body: strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)},
	}
}

func (b badRequest) to(o operation, path, token string, a agent) request {
	r := request{method: o.method, path: path, raw: strings.NewReader(b.body)}
	if b.chunked {
		r.raw = io.MultiReader(r.raw) // of unknown length
	}
	media := b.media
	switch {
	case media == "" && o.takesJSON():
		media = "application/json"
	case media == "":
		media = "application/x-www-form-urlencoded"
	}
	if media != "-" {
		r = r.with("Content-Type", media)
	}
	if b.coding != "" {
		r = r.with("Content-Encoding", b.coding)
	}
	if o.takesJSON() {
		r.token = token
	} else {
		r.basic = &a
	}
	return r
}

func TestNoBodyDoesHarm(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	n := s.tenant(t)
	path := strings.NewReplacer("{orgId}", n.organization, "{agentId}", n.id, "{credentialId}", n.credential, "{partnerId}", uuid.NewString())
	before, head := s.state(t, n), s.head(t)
	tried := 0
	for _, o := range s.description.operations(http.MethodPost, http.MethodPatch, http.MethodPut) {
		if o.RequestBody == nil {
			continue
		}
		bad := badForms()
		if o.takesJSON() {
			bad = badJSON(t, o)
		}
		for _, b := range bad {
			tried++
			answer, err := s.do(b.to(o, path.Replace(o.path), s.operator, n.agent))
			want := b.status
			if want == 0 {
				want = 400
			}
			if err != nil || answer.status != want || !utf8.Valid(answer.body) || bytes.Contains(answer.body, []byte("goroutine")) {
				t.Errorf("%s: %s: got %d %.300s (%v), want %d", o, b.name, answer.status, answer.body, err, want)
			}
		}
	}
	const least = 500
	if tried < least {
		t.Errorf("%d bodies tried, want at least %d", tried, least)
	}
	if after := s.head(t); after != head {
		t.Errorf("the ledger went from %v to %v", head, after)
	}
	for what, seen := range s.state(t, n) {
		if seen != before[what] {
			t.Errorf("%s was %s, is %s", what, before[what], seen)
		}
	}
}

// A body where none belongs is not read, and harms nobody.
func TestBodiesOfReadsAndDeletions(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "")
	for _, body := range []string{"rubbish", strings.Repeat("x", 60<<10)} {
		r := get(s.operator, a.path())
		r.raw = strings.NewReader(body)
		s.must(t, r, 200, "")
	}
	r := remove(s.operator, a.path()+"/credentials/"+a.credential)
	r.raw = strings.NewReader(strings.Repeat("x", 70<<10))
	s.must(t, r, 413, "PAYLOAD_TOO_LARGE")
	r.raw = strings.NewReader("rubbish")
	s.must(t, r, 204, "")
}

func TestOptionalBodiesMayBeLeftOut(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "")
	for path, status := range map[string]int{
		a.path() + "/credentials": 201, a.path() + "/credentials/rotate": 200,
		a.path() + "/credentials/" + a.credential + "/rotate": 200,
	} {
		s.must(t, request{method: http.MethodPost, path: path, token: s.operator}, status, "")
		s.must(t, request{method: http.MethodPost, path: path, token: s.operator, raw: io.MultiReader(strings.NewReader("{}"))}.
			with("Content-Type", "application/json; charset=UTF-8"), status, "")
	}
}

func TestIdsThatAreNoUUIDs(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	id := uuid.NewString()
	wrong := []string{
		"x", "1", "0", id[:35], id + "0", strings.ReplaceAll(id, "-", ""), "{" + id + "}", "urn:uuid:" + id, "'" + id[1:], "null", "*", "%00", "%ff",
		"..%2e", "%F0%9F%A4%96", strings.Repeat("a", 3000), id[:35] + "g", "%22%3E%3Cscript%3E", "1%20OR%201=1",
	}
	names := []string{"{orgId}", "{agentId}", "{credentialId}", "{eventId}", "{partnerId}"}
	for _, o := range s.description.operations() {
		for _, name := range names {
			if !strings.Contains(o.path, name) {
				continue
			}
			for _, bad := range wrong {
				path := strings.ReplaceAll(o.path, name, bad)
				for _, other := range names {
					path = strings.ReplaceAll(path, other, id)
				}
				r := request{method: o.method, path: path, token: s.operator}
				if o.RequestBody != nil {
					r.json = o.sample(t)
				}
				if _, err := s.want(r, 400, "VALIDATION_ERROR"); err != nil {
					t.Errorf("%s with %s: %v", o, bad, err)
				}
			}
		}
	}
}

func TestQueriesAreChecked(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for _, query := range []string{
		"page=0", "page=-1", "page=x", "page=1.5", "page=1000001", "page=99999999999999999999", "page=1&page=2", "page=",
		"limit=0", "limit=101", "limit=1e2", "limit=%00", "surprise=1", "limit=%zz", "limit=1;page=1", "limit=%ff",
	} {
		for _, path := range []string{"/api/v1/agents?", "/api/v1/organizations?", "/api/v1/audit?", s.root.path() + "/credentials?"} {
			if _, err := s.want(get(s.operator, path+query), 400, "VALIDATION_ERROR"); err != nil {
				t.Error(err)
			}
		}
	}
	for _, path := range []string{
		"/api/v1/agents?status=gone", "/api/v1/agents?agentType=robot", "/api/v1/agents?organizationId=x", "/api/v1/agents?owner=",
		s.root.path() + "/credentials?status=lost", "/api/v1/audit?action=x", "/api/v1/audit?action=A.B", "/api/v1/audit?outcome=maybe",
		"/api/v1/audit?agentId=x", "/api/v1/audit?fromDate=yesterday", "/api/v1/audit?fromDate=2026-11-23", "/api/v1/audit?toDate=2026-13-01T00:00:00Z",
		"/api/v1/audit?fromDate=2026-11-23T00:00:00Z&toDate=2026-11-22T00:00:00Z", "/api/v1/audit?cursor=rubbish", "/api/v1/audit?cursor=a!b",
		"/api/v1/audit/verify?fromDate=x", "/api/v1/audit/verify?limit=1", "/api/v1/audit/verify?fromDate=2026-11-23T00:00:00Z&toDate=2026-11-22T00:00:00Z",
	} {
		if _, err := s.want(get(s.operator, path), 400, "VALIDATION_ERROR"); err != nil {
			t.Error(err)
		}
	}
}

func TestUnknownPathsAndWrongMethods(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for _, path := range []string{
		"/", "/api", "/api/v1", "/api/v1/", "/api/v2/agents", "/api/v1/agents/", "/api/v1//agents", "/API/V1/AGENTS", "/api/v1/agents/" + uuid.NewString() + "/x",
		"/docs/../../etc/passwd", "/docs/%2e%2e%2fopenapi.yaml", "/docs/nothing.js", "/.env", "/.well-known/nothing", "/api/v1/agents%00", "/oauth2", "/debug/pprof/",
	} {
		for _, token := range []string{"", s.operator} {
			if _, err := s.want(get(token, path), 404, "NOT_FOUND"); err != nil {
				t.Error(err)
			}
		}
	}
	for _, path := range []string{"/oauth2/authorise", "/oauth2/", "/api/v1/token/x"} {
		s.must(t, get("", path), 404, "invalid_request")
	}
	served := map[string][]string{}
	for _, o := range s.description.operations() {
		served[o.path] = append(served[o.path], o.method)
	}
	for path, methods := range served {
		path = strings.NewReplacer("{orgId}", uuid.NewString(), "{agentId}", uuid.NewString(), "{credentialId}", uuid.NewString(), "{eventId}", uuid.NewString(), "{partnerId}", uuid.NewString(), "{asset}", "x").Replace(path)
		code := "METHOD_NOT_ALLOWED"
		if isOAuth(path) {
			code = "invalid_request"
		}
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, "PROPFIND"} {
			if s.description.pattern(method, path) != "" || method == http.MethodOptions && isForPages(path) {
				continue // open to every page, so each method of CORS is known there
			}
			refusal, err := s.want(request{method: method, path: path, token: s.operator}, 405, code)
			if err != nil {
				t.Error(err)
				continue
			}
			for _, allowed := range methods {
				if !strings.Contains(refusal.header.Get("Allow"), allowed) {
					t.Errorf("%s %s: Allow is %q, without %s", method, path, refusal.header.Get("Allow"), allowed)
				}
			}
		}
	}
}

// HEAD is what GET is, without the body (RFC 9110 section 9.3.2).
func TestHeadAnswersAsGetDoes(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	// The operator's agent was registered by another process, which waits for nobody.
	s.must(t, get(s.operator, fmt.Sprintf("%s?minPosition=%.0f", s.root.path(), s.head(t))), 200, "")
	for _, path := range []string{"/health", "/openapi.json", "/docs", "/.well-known/jwks.json", s.root.path(), "/api/v1/agents"} {
		full := s.must(t, get(s.operator, path), 200, "")
		brief := s.must(t, request{method: http.MethodHead, path: path, token: s.operator}, 200, "")
		if len(brief.body) != 0 || brief.header.Get("Content-Type") != full.header.Get("Content-Type") || brief.header.Get("ETag") != full.header.Get("ETag") {
			t.Errorf("%s: HEAD %v, GET %v", path, brief.header, full.header)
		}
	}
	s.must(t, request{method: http.MethodHead, path: "/api/v1/agents"}, 401, "")
	s.must(t, request{method: http.MethodHead, path: "/nothing"}, 404, "")
	s.must(t, request{method: http.MethodHead, path: "/oauth2/token"}, 405, "")
}

func TestCORSIsForTheConfiguredOriginsAlone(t *testing.T) {
	t.Parallel()
	s := newScene(t, "CORS_ORIGIN=https://console.example,https://other.example")
	preflight := func(path, origin, method string) request {
		return request{method: http.MethodOptions, path: path}.
			with("Origin", origin, "Access-Control-Request-Method", method, "Access-Control-Request-Headers", "authorization,if-match")
	}
	for _, path := range []string{"/api/v1/agents", "/oauth2/token", s.root.path()} {
		answer := s.must(t, preflight(path, "https://console.example", "PATCH"), 204, "")
		for header, want := range map[string]string{
			"Access-Control-Allow-Origin": "https://console.example", "Access-Control-Allow-Methods": "PATCH",
			"Access-Control-Allow-Headers": "If-Match", "Vary": "Origin",
		} {
			if got := answer.header.Get(header); !strings.Contains(got, want) {
				t.Errorf("%s: %s is %q, want %s in it", path, header, got, want)
			}
		}
	}
	if plain := s.must(t, get(s.operator, "/api/v1/agents").with("Origin", "https://other.example"), 200, ""); plain.header.Get("Access-Control-Allow-Origin") != "https://other.example" ||
		!strings.Contains(plain.header.Get("Access-Control-Expose-Headers"), "X-Ledger-Position") {
		t.Errorf("headers for a configured origin: %v", plain.header)
	}
	if refused := s.must(t, get("", "/api/v1/agents").with("Origin", "https://other.example"), 401, ""); refused.header.Get("Access-Control-Allow-Origin") == "" {
		t.Error("the page cannot read why it was refused")
	}
	for _, origin := range []string{"https://evil.example", "https://console.example.evil.example", "null", "http://console.example"} {
		for _, r := range []request{get(s.operator, "/api/v1/agents").with("Origin", origin), preflight("/api/v1/agents", origin, "GET")} {
			answer, err := s.do(r)
			if err != nil {
				t.Fatal(err)
			}
			for name := range answer.header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s %s: %s is %q", r.method, origin, name, answer.header.Get(name))
				}
			}
			if answer.header.Get("Vary") != "Origin" {
				t.Errorf("%s %s: Vary is %q", r.method, origin, answer.header.Get("Vary"))
			}
		}
	}
}

func TestRequestIDsAreKeptWhenSane(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "")
	for _, sane := range []string{"r-1", "a.b:c_d-e", strings.Repeat("x", 64), uuid.NewString()} {
		for _, path := range []string{"/health", "/nothing", "/api/v1/agents", "/oauth2/token"} {
			answer, err := s.do(get("", path).with("X-Request-Id", sane))
			if err != nil || answer.header.Get("X-Request-Id") != sane {
				t.Errorf("%s: %q became %q (%v)", path, sane, answer.header.Get("X-Request-Id"), err)
			}
		}
	}
	for _, insane := range []string{"", " ", "-", "a b", "<script>", "ä", strings.Repeat("x", 65), "a/b", "../x", `"`, "a;b", "\x01"} {
		answer, err := s.do(get("", "/health").with("X-Request-Id", insane))
		if err != nil && strings.Contains(err.Error(), "invalid header field") {
			continue // a client cannot even send it
		}
		if id := answer.header.Get("X-Request-Id"); err != nil || id == insane || uuid.Validate(id) != nil {
			t.Errorf("%q became %q (%v), want a new one", insane, id, err)
		}
	}
	s.must(t, patch(s.operator, a.path(), map[string]any{"owner": "x"}).with("X-Request-Id", "trace-7", "User-Agent", "tester/1.0"), 200, "")
	event := s.must(t, get(s.operator, "/api/v1/audit?limit=1&agentId="+a.id+"&organizationId="+a.organization), 200, "").list("data")[0]
	if event["requestId"] != "trace-7" || event["userAgent"] != "tester/1.0" || event["ipAddress"] != "127.0.0.1" {
		t.Errorf("the event tells of request %v by %v from %v", event["requestId"], event["userAgent"], event["ipAddress"])
	}
}

func TestForwardedAddressesCountOnlyFromTrustedProxies(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]string{"TRUSTED_PROXIES=": "127.0.0.1", "TRUSTED_PROXIES=127.0.0.1/32": "192.0.2.17"} {
		s := newScene(t, setting)
		a := s.agent(t, s.organization(t, nil), "")
		s.must(t, patch(s.operator, a.path(), map[string]any{"owner": "x"}).with("X-Forwarded-For", "::ffff:192.0.2.17", "X-Real-IP", "6.6.6.6"), 200, "")
		event := s.must(t, get(s.operator, "/api/v1/audit?limit=1&agentId="+a.id+"&organizationId="+a.organization), 200, "").list("data")[0]
		if event["ipAddress"] != want {
			t.Errorf("%s: address %v, want %s", setting, event["ipAddress"], want)
		}
	}
}

func TestHTTPSIsInsistedOnWhereItIsServed(t *testing.T) {
	t.Parallel()
	s := newScene(t, "PUBLIC_URL=https://idp.example")
	if got := s.must(t, get("", "/health"), 200, "").header.Get("Strict-Transport-Security"); !strings.HasPrefix(got, "max-age=") {
		t.Errorf("Strict-Transport-Security is %q", got)
	}
}

// Bounds of REQUIREMENTS 3, from both sides.
func TestAgentFieldsHaveBounds(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	organization := s.organization(t, nil)
	many := func(n int) []string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf("resource%d:read", i)
		}
		return list
	}
	object := func(bytes int) map[string]any { return map[string]any{"k": strings.Repeat("x", bytes-len(`{"k":""}`))} }
	for field, values := range map[string]struct{ good, bad []any }{
		"email":         {[]any{"A+b@x-" + unique() + ".example"}, []any{"", "x", "a@", "@b", "a b@c.d", "A <a@b.c>", "a@b.c\n", strings.Repeat("a", 251) + "@b.c", 7}},
		"agentType":     {[]any{"monitor", "custom"}, []any{"", "robot", "SCREENER", nil}},
		"version":       {[]any{"0.0.1", "1.2.3-rc.1+build.5"}, []any{"", "1", "1.2", "v1.2.3", "01.2.3", "1.2.3-"}},
		"capabilities":  {[]any{[]string{}, many(64)}, []any{many(65), []string{"read"}, []string{"a:b:c"}, []string{""}, "a:b", []any{1}}},
		"owner":         {[]any{"x", strings.Repeat("ü", 128)}, []any{"", strings.Repeat("x", 129), "a\x00b"}},
		"deploymentEnv": {[]any{"development", "staging"}, []any{"", "prod"}},
		"description":   {[]any{"", strings.Repeat("x", 1024), "line\nline"}, []any{strings.Repeat("x", 1025), nil}},
		"metadata":      {[]any{map[string]any{}, object(8 << 10)}, []any{object(8<<10 + 1), []any{}, "x", map[string]any{"a": "\x00"}}},
		"isPublic":      {[]any{true, false}, []any{"true", 1, nil}},
		"scopes":        {[]any{[]string{"agents:read", "openid"}}, []any{[]string{"nonsense"}, "agents:read", []any{nil}}},
	} {
		for _, good := range values.good {
			body := newAgentBody(organization, "")
			body[field] = good
			if _, err := s.want(post(s.operator, "/api/v1/agents", body), 201, ""); err != nil {
				t.Errorf("%s: %v", field, err)
			}
		}
		for _, bad := range values.bad {
			body := newAgentBody(organization, "")
			body[field] = bad
			if _, err := s.want(post(s.operator, "/api/v1/agents", body), 400, "VALIDATION_ERROR"); err != nil {
				t.Errorf("%s %v: %v", field, bad, err)
			}
		}
	}
	a := s.agent(t, organization, "")
	for _, immutable := range []string{"agentId", "organizationId", "email", "did", "createdAt"} {
		s.must(t, patch(s.operator, a.path(), map[string]any{immutable: a.id}), 400, "VALIDATION_ERROR")
	}
	s.must(t, get(s.operator, "/api/v1/agents?"+url.Values{"owner": {strings.Repeat("ü", 128)}}.Encode()+"&organizationId="+organization), 200, "")
}
