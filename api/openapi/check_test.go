package openapi

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const someAgent = "/api/v1/agents/019a3f5e-7c1a-7b52-9d3e-2f6a1c0b8d41"

func TestParametersAreAsDescribed(t *testing.T) {
	spec := mustLoadSpec(t)
	const id = "019a3f5e-7c1a-7b52-9d3e-2f6a1c0b8d41"
	for _, test := range []struct {
		name, target        string
		header              []string // name and value in turn
		field, in, rule     string   // empty when the request passes
		wantBound, wantText any
	}{
		{name: "nothing", target: "/api/v1/agents"},
		{name: "all filters", target: "/api/v1/agents?page=1&limit=100&owner=a%20b&agentType=custom&status=active&organizationId=" + id + "&minPosition=7"},
		{name: "an upper-case id", target: "/api/v1/agents/" + strings.ToUpper(id)},
		{name: "times", target: "/api/v1/audit?fromDate=2026-11-01T00:00:00Z&toDate=2026-11-30T23:59:59.999%2B01:00&action=token.issued"},
		{name: "limit too large", target: "/api/v1/agents?limit=101", field: "limit", in: "query", rule: "maximum", wantBound: 100.0},
		{name: "limit too small", target: "/api/v1/agents?limit=0", field: "limit", in: "query", rule: "minimum", wantBound: 1.0},
		{name: "limit not a number", target: "/api/v1/agents?limit=ten", field: "limit", in: "query", rule: "type", wantBound: "integer"},
		{name: "limit in exponents", target: "/api/v1/agents?limit=1e1", field: "limit", in: "query", rule: "type"},
		{name: "limit beyond int64", target: "/api/v1/agents?limit=99999999999999999999", field: "limit", in: "query", rule: "type"},
		{name: "limit empty", target: "/api/v1/agents?limit=", field: "limit", in: "query", rule: "empty"},
		{name: "owner empty", target: "/api/v1/agents?owner=", field: "owner", in: "query", rule: "minLength"},
		{name: "owner too long", target: "/api/v1/agents?owner=" + strings.Repeat("x", 129), field: "owner", in: "query", rule: "maxLength"},
		{name: "no such status", target: "/api/v1/agents?status=gone", field: "status", in: "query", rule: "enum"},
		{name: "given twice", target: "/api/v1/agents?limit=1&limit=2", field: "limit", in: "query", rule: "duplicate"},
		{name: "unknown", target: "/api/v1/agents?colour=red", field: "colour", in: "query", rule: "unknown"},
		{name: "unknown in upper case", target: "/api/v1/agents?LIMIT=1", field: "LIMIT", in: "query", rule: "unknown"},
		{name: "unknown where there are none", target: "/health?x=1", field: "x", in: "query", rule: "unknown"},
		{name: "NUL", target: "/api/v1/agents?owner=a%00b", field: "owner", in: "query", rule: "text"},
		{name: "NUL in a name", target: "/api/v1/agents?ow%00ner=a", field: "ow\x00ner", in: "query", rule: "text"},
		{name: "invalid UTF-8", target: "/api/v1/agents?owner=%ff", field: "owner", in: "query", rule: "text"},
		{name: "invalid encoding", target: "/api/v1/agents?owner=%zz", field: "query", in: "query", rule: "syntax"},
		{name: "semicolon", target: "/api/v1/agents?limit=1;page=2", field: "query", in: "query", rule: "syntax"},
		{name: "time without zone", target: "/api/v1/audit?fromDate=2026-11-01T00:00:00", field: "fromDate", in: "query"},
		{name: "impossible time", target: "/api/v1/audit?fromDate=2026-02-30T00:00:00Z", field: "fromDate", in: "query", rule: "format"},
		{name: "leap second", target: "/api/v1/audit?fromDate=2026-11-01T00:00:60Z", field: "fromDate", in: "query", rule: "format"},
		{name: "action of a wrong form", target: "/api/v1/audit?action=DROP", field: "action", in: "query", rule: "pattern"},
		{name: "not an id", target: "/api/v1/agents/me", field: "agentId", in: "path"},
		{name: "a braced id", target: "/api/v1/agents/%7B" + id[:34] + "%7D", field: "agentId", in: "path", rule: "format"},
		{name: "NUL in an id", target: "/api/v1/agents/%00" + id[1:], field: "agentId", in: "path", rule: "format"},
		{name: "position", target: someAgent, header: []string{"X-Ledger-Position", "4711"}},
		{name: "no position", target: someAgent, header: []string{"X-Ledger-Position", "soon"}, field: "X-Ledger-Position", in: "header", rule: "type"},
		{name: "negative position", target: someAgent, header: []string{"X-Ledger-Position", "-1"}, field: "X-Ledger-Position", in: "header", rule: "minimum"},
		{name: "two positions", target: someAgent, header: []string{"X-Ledger-Position", "1", "X-Ledger-Position", "2"}, field: "X-Ledger-Position", in: "header", rule: "duplicate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := httptest.NewRequest(http.MethodGet, test.target, nil)
			for i := 0; i < len(test.header); i += 2 {
				request.Header.Add(test.header[i], test.header[i+1])
			}
			got := sendChecked(t, spec, request)
			expectField(t, got, test.field, test.in, test.rule)
			if test.wantBound != nil && got.details["bound"] != test.wantBound {
				t.Errorf("bound: got %v (%[1]T), want %v", got.details["bound"], test.wantBound)
			}
		})
	}
}

func expectField(t *testing.T, got answered, field, in, rule string) {
	t.Helper()
	if field == "" {
		if !got.reached {
			t.Fatalf("rejected: %d %s %q %v", got.status, got.code, got.message, got.details)
		}
		return
	}
	if got.reached || got.code == "" {
		t.Fatalf("passed (%d); want a rejection of %s", got.status, field)
	}
	if got.details["field"] != field || got.details["in"] != in || rule != "" && got.details["rule"] != rule {
		t.Errorf("got %q %v, want %s %s missing %s", got.message, got.details, in, field, rule)
	}
}

func TestBodiesAreAsDescribed(t *testing.T) {
	spec := mustLoadSpec(t)
	const agent = `"email":"a@b.example","agentType":"custom","version":"1.0.0","capabilities":[],"owner":"o","deploymentEnv":"staging"`
	for _, test := range []struct {
		name, method, target, body string
		field, rule                string // empty when the request passes
	}{
		{"least", "POST", "/api/v1/agents", `{` + agent + `}`, "", ""},
		{"number of a float in metadata", "POST", "/api/v1/agents", `{` + agent + `,"metadata":{"a":1.50,"b":[{"c":null}]}}`, "", ""},
		{"emoji and pairs", "POST", "/api/v1/agents", `{` + agent + `,"description":"\ud83d\ude00 😀 \\u0000"}`, "", ""},
		{"128 emoji", "PATCH", someAgent, `{"owner":"` + strings.Repeat("😀", 128) + `"}`, "", ""},
		{"129 emoji", "PATCH", someAgent, `{"owner":"` + strings.Repeat("😀", 129) + `"}`, "owner", "maxLength"},
		{"white space around", "PATCH", someAgent, " \n{\"owner\":\"o\"}\t\r\n", "", ""},
		{"null removes a limit", "PATCH", "/api/v1/organizations/" + someAgent[15:], `{"maxAgents":null}`, "", ""},
		{"unset a value", "PATCH", someAgent, `{"unset":["owner"]}`, "unset.0", "nullable"},
		{"unset and give", "PATCH", "/api/v1/organizations/" + someAgent[15:], `{"maxAgents":5,"unset":["maxAgents"]}`, "unset.0", "duplicate"},
		{"unset and null", "PATCH", "/api/v1/organizations/" + someAgent[15:], `{"maxAgents":null,"unset":["maxAgents"]}`, "unset.0", "duplicate"},
		{"unset what is not there", "PATCH", "/api/v1/organizations/" + someAgent[15:], `{"unset":["maxAgents","zeal"]}`, "unset.1", "unknown"},
		{"unset what never changes", "PATCH", "/api/v1/organizations/" + someAgent[15:], `{"unset":["slug"]}`, "unset.0", "unknown"},
		{"unset unset", "PATCH", someAgent, `{"unset":["unset"]}`, "unset.0", "unknown"},
		{"unset null", "PATCH", someAgent, `{"unset":[null]}`, "unset.0", ""},
		{"no body needed", "POST", someAgent + "/credentials", ``, "", ""},
		{"empty object", "POST", someAgent + "/credentials", `{}`, "", ""},
		{"nothing to change", "PATCH", someAgent, `{}`, "body", "minProperties"},
		{"no body", "POST", "/api/v1/agents", ``, "body", "required"},
		{"missing field", "POST", "/api/v1/agents", `{"email":"a@b.example"}`, "agentType", "required"},
		{"null for a value", "PATCH", someAgent, `{"owner":null}`, "owner", ""},
		{"unknown field", "PATCH", someAgent, `{"owner":"o","zeal":1}`, "zeal", "unknown"},
		{"immutable field", "PATCH", someAgent, `{"email":"c@d.example"}`, "email", "unknown"},
		{"field in another case", "PATCH", someAgent, `{"Owner":"o"}`, "Owner", "unknown"},
		{"wrong type", "PATCH", someAgent, `{"isPublic":"yes"}`, "isPublic", "type"},
		{"not an object", "PATCH", someAgent, `[1]`, "body", "type"},
		{"deep in a list", "PATCH", someAgent, `{"capabilities":["a:b","NO"]}`, "capabilities.1", ""},
		{"too many", "PATCH", someAgent, `{"capabilities":[` + strings.Repeat(`"a:b",`, 64) + `"a:b"]}`, "capabilities", "maxItems"},
		{"email", "POST", "/api/v1/agents", `{` + strings.Replace(agent, "a@b.example", "A <a@b.example>", 1) + `}`, "email", "format"},
		{"version", "PATCH", someAgent, `{"version":"v1.0.0"}`, "version", "pattern"},
		{"limit out of bounds", "POST", "/api/v1/organizations", `{"name":"n","slug":"sl","maxAgents":1000000001}`, "maxAgents", "maximum"},
		{"integer as float", "POST", "/api/v1/organizations", `{"name":"n","slug":"sl","maxAgents":1.0}`, "maxAgents", "type"},
		{"integer in exponents", "POST", "/api/v1/organizations", `{"name":"n","slug":"sl","maxAgents":1e2}`, "maxAgents", "type"},
		{"time", "POST", someAgent + "/credentials", `{"expiresAt":"2027-02-29T00:00:00.000Z"}`, "expiresAt", "format"},
		{"malformed", "PATCH", someAgent, `{"owner":`, "body", "syntax"},
		{"trailing garbage", "PATCH", someAgent, `{"owner":"o"} x`, "body", "syntax"},
		{"two values", "PATCH", someAgent, `{"owner":"o"}{"owner":"p"}`, "body", "syntax"},
		{"byte order mark", "PATCH", someAgent, "\ufeff{\"owner\":\"o\"}", "body", "syntax"},
		{"duplicate key", "PATCH", someAgent, `{"owner":"o","owner":"p"}`, "owner", "duplicate"},
		{"duplicate key in disguise", "PATCH", someAgent, `{"owner":"o","\u006fwner":"p"}`, "owner", "duplicate"},
		{"duplicate key inside", "PATCH", someAgent, `{"metadata":{"a":[{"b":1,"b":2}]}}`, "metadata.a.0.b", "duplicate"},
		{"NUL in a value", "PATCH", someAgent, `{"owner":"a\u0000b"}`, "owner", "text"},
		{"NUL in a key", "PATCH", someAgent, `{"metadata":{"a\u0000":1}}`, "metadata", "text"},
		{"half a pair", "PATCH", someAgent, `{"metadata":{"a":"\ud800x"}}`, "metadata.a", "text"},
		{"halves the wrong way round", "PATCH", someAgent, `{"owner":"\ude00\ud83d"}`, "owner", "text"},
		{"invalid UTF-8", "PATCH", someAgent, "{\"owner\":\"\xff\"}", "body", "utf8"},
		{"infinite number", "PATCH", someAgent, `{"metadata":{"a":1e400}}`, "metadata.a", "number"},
		{"vanishing number", "PATCH", someAgent, `{"metadata":{"a":[1e-400]}}`, "metadata.a.0", "number"},
		{"endless number", "PATCH", someAgent, `{"metadata":{"a":` + strings.Repeat("1", 65) + `}}`, "metadata.a", "number"},
		{"32 levels", "PATCH", someAgent, `{"metadata":{"a":` + strings.Repeat("[", 30) + strings.Repeat("]", 30) + `}}`, "", ""},
		{"33 levels", "PATCH", someAgent, `{"metadata":{"a":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}}`, "body", "nesting"},
		{"bottomless", "PATCH", someAgent, strings.Repeat("[", 60000), "body", "syntax"},
		{"bottomless and closed", "PATCH", someAgent, strings.Repeat("[", 9000) + strings.Repeat("]", 9000), "body", "nesting"},
		{"endless name", "PATCH", someAgent, `{"` + strings.Repeat("x", 60000) + `":1}`, strings.Repeat("x", 128) + "…", "unknown"},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := httptest.NewRequest(test.method, test.target, strings.NewReader(test.body))
			if test.body != "" {
				request.Header.Set("Content-Type", "application/json; charset=utf-8")
			}
			got := sendChecked(t, spec, request)
			expectField(t, got, test.field, "body", test.rule)
			if got.reached && got.body != test.body {
				t.Errorf("the handler read %q, want %q", got.body, test.body)
			}
			if !got.reached && (got.status != 400 || got.code != "VALIDATION_ERROR") {
				t.Errorf("got %d %s, want 400 VALIDATION_ERROR", got.status, got.code)
			}
		})
	}
}

func TestBodiesAreLimited(t *testing.T) {
	spec := mustLoadSpec(t)
	fits := `{"description":"` + strings.Repeat("x", 1000) + `"}`
	fits += strings.Repeat(" ", maxBodySize-len(fits))
	for _, test := range []struct {
		name, method, target, body string
		length                     int64
		status                     int
	}{
		{"just fits", "PATCH", someAgent, fits, int64(len(fits)), 204},
		{"just fits, no length", "PATCH", someAgent, fits, -1, 204},
		{"too long", "PATCH", someAgent, fits + " ", int64(len(fits) + 1), 413},
		{"too long, no length", "PATCH", someAgent, fits + " ", -1, 413},
		{"too long, lying length", "PATCH", someAgent, fits + " ", 10, 413},
		{"too long form", "POST", "/oauth2/token", strings.Repeat("a", maxBodySize+1), -1, 413},
		{"too long where none is taken", "DELETE", someAgent, fits + " ", int64(len(fits) + 1), 413},
		{"of a GET, ignored", "GET", someAgent, fits + " ", int64(len(fits) + 1), 204},
		{"ignored where none is taken", "DELETE", someAgent, "junk", 4, 204},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := httptest.NewRequest(test.method, test.target, io.NopCloser(strings.NewReader(test.body)))
			request.ContentLength = test.length
			request.Header.Set("Content-Type", "application/json")
			if got := sendChecked(t, spec, request); got.status != test.status {
				t.Errorf("got %d %s %q, want %d", got.status, got.code, got.message, test.status)
			}
		})
	}
}

func TestOnlyTheRightMediaTypePasses(t *testing.T) {
	spec := mustLoadSpec(t)
	for _, test := range []struct {
		target, contentType, coding, body string
		status                            int
	}{
		{"/api/v1/organizations", "application/json", "", `{"name":"n","slug":"sl"}`, 204},
		{"/api/v1/organizations", "Application/JSON; charset=UTF-8", "identity", `{"name":"n","slug":"sl"}`, 204},
		{"/api/v1/organizations", "application/json; charset=utf-16", "", `{"name":"n","slug":"sl"}`, 415},
		{"/api/v1/organizations", "application/json", "gzip", `{"name":"n","slug":"sl"}`, 415},
		{"/api/v1/organizations", "text/plain", "", `{"name":"n","slug":"sl"}`, 415},
		{"/api/v1/organizations", "application/x-www-form-urlencoded", "", `name=n`, 415},
		{"/api/v1/organizations", "", "", `{"name":"n","slug":"sl"}`, 415},
		{"/api/v1/organizations", ";;;", "", `{"name":"n","slug":"sl"}`, 415},
		{"/oauth2/token", "application/x-www-form-urlencoded", "", "grant_type=client_credentials", 204},
		{"/oauth2/token", "application/x-www-form-urlencoded;charset=utf-8", "", "grant_type=client_credentials", 204},
		{"/oauth2/token", "application/json", "", `{"grant_type":"client_credentials"}`, 400},
		{"/api/v1/token", "multipart/form-data; boundary=x", "", "--x--", 400},
		{"/oauth2/revoke", "", "", "token=t", 400},
	} {
		request := httptest.NewRequest(http.MethodPost, test.target, strings.NewReader(test.body))
		request.Header.Set("Content-Type", test.contentType)
		if test.contentType == "" {
			request.Header.Del("Content-Type")
		}
		request.Header.Set("Content-Encoding", test.coding)
		if got := sendChecked(t, spec, request); got.status != test.status {
			t.Errorf("%s as %q: got %d %s %q, want %d", test.target, test.contentType, got.status, got.code, got.message, test.status)
		}
	}
}

func TestFormsAreReadAsOAuthSays(t *testing.T) {
	spec := mustLoadSpec(t)
	for _, test := range []struct{ name, body, field, rule string }{
		{"plain", "grant_type=client_credentials&scope=agents%3Aread+openid", "", ""},
		{"unknown parameters are ignored", "grant_type=x&colour=red", "", ""},
		{"a parameter without value counts as left out", "grant_type=x&scope=&client_secret=", "", ""},
		{"unknown grants are for the handler", "grant_type=password", "", ""},
		{"no grant", "scope=openid", "grant_type", "required"},
		{"empty grant", "grant_type=", "grant_type", "required"},
		{"nothing", "", "body", "required"},
		{"twice", "grant_type=x&scope=a&scope=b", "scope", "duplicate"},
		{"twice, once without value", "grant_type=x&scope=&scope=b", "scope", "duplicate"},
		{"unknown twice", "grant_type=x&colour=a&colour=b", "colour", "duplicate"},
		{"NUL", "grant_type=x&client_id=%00", "client_id", "text"},
		{"NUL in an unknown one", "grant_type=x&colour=%00", "colour", "text"},
		{"invalid UTF-8", "grant_type=x&client_id=%c3%28", "client_id", "text"},
		{"invalid encoding", "grant_type=%", "body", "syntax"},
		{"semicolon", "grant_type=x;scope=y", "body", "syntax"},
		{"too long", "grant_type=x&scope=" + strings.Repeat("s", 1025), "scope", "maxLength"},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := httptest.NewRequest(http.MethodPost, "/oauth2/token", strings.NewReader(test.body))
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			got := sendChecked(t, spec, request)
			expectField(t, got, test.field, "body", test.rule)
			if !got.reached {
				return
			}
			if got.body != test.body {
				t.Errorf("the handler read %q", got.body)
			}
			if _, has := got.form["client_secret"]; has || got.form["grant_type"] == nil {
				t.Errorf("the handler got the form %v", got.form)
			}
		})
	}
}
