package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/api/openapi"
	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/server/servertest"
)

func TestMain(m *testing.M) {
	if err := trustPartners(); err != nil {
		panic(err)
	}
	pgtest.Main(m)
}

// description is openapi.yaml, to hold every answer to and to derive tests from.
type description struct {
	*openapi.Spec
	document *openapi3.T
}

var loadDescription = sync.OnceValues(func() (description, error) {
	yaml, err := os.ReadFile("openapi.yaml")
	if err != nil {
		return description{}, err
	}
	spec, err := openapi.Load(yaml, "")
	if err != nil {
		return description{}, err
	}
	document, err := openapi3.NewLoader().LoadFromData(yaml)
	return description{spec, document}, err
})

func describe(tb testing.TB) description {
	tb.Helper()
	d, err := loadDescription()
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// operation is one described method of one described path.
type operation struct {
	method, path string // with {parameters}
	*openapi3.Operation
}

func (o operation) String() string { return o.method + " " + o.path }

// operations lists those of some methods, all without any, in a stable order.
func (d description) operations(methods ...string) []operation {
	var all []operation
	for path, item := range d.document.Paths.Map() {
		for method, described := range item.Operations() {
			if len(methods) == 0 || slices.Contains(methods, method) {
				all = append(all, operation{method, path, described})
			}
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.String(), b.String()) })
	return all
}

// pattern is the route, as gin writes it, that serves a path; "" when none does.
func (d description) pattern(method, path string) string {
	best, fixed := "", -1
	given := strings.Split(path, "/")
	for candidate, item := range d.document.Paths.Map() {
		if item.GetOperation(method) == nil {
			continue
		}
		if score, matches := match(strings.Split(candidate, "/"), given); matches && score > fixed {
			best, fixed = candidate, score
		}
	}
	return strings.NewReplacer("{", ":", "}", "").Replace(best)
}

// match counts the segments that are the same letter for letter.
func match(template, given []string) (fixed int, matches bool) {
	if len(template) != len(given) {
		return 0, false
	}
	for i, segment := range template {
		switch {
		case segment == given[i]:
			fixed++
		case !strings.HasPrefix(segment, "{") || given[i] == "":
			return 0, false
		}
	}
	return fixed, true
}

// checkedTransport lets no answer pass that is not as openapi.yaml describes
// it, whoever the client is.
type checkedTransport struct {
	next        http.RoundTripper
	description description
}

func (t checkedTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	if err := t.check(request, response, body); err != nil {
		return nil, fmt.Errorf("the answer is not as described: %w", err)
	}
	return response, nil
}

func (t checkedTransport) check(request *http.Request, response *http.Response, body []byte) error {
	if err := checkHeaders(request, response.StatusCode, response.Header); err != nil {
		return err
	}
	if err := showsPrivateKey(body); err != nil {
		return err
	}
	if response.StatusCode == http.StatusInternalServerError {
		return fmt.Errorf("500: %s", body)
	}
	if request.Method == http.MethodOptions && response.StatusCode == http.StatusNoContent {
		return nil // a CORS preflight, which no OpenAPI document describes
	}
	if request.Method == http.MethodHead {
		return nil // there is no body that could be wrong
	}
	pattern := t.description.pattern(request.Method, request.URL.Path)
	if pattern == "" {
		if err := checkNoSuchRoute(request, response, body); err != nil {
			return err
		}
	}
	return t.description.ValidateResponse(request, pattern, response.StatusCode, response.Header, body)
}

func checkHeaders(request *http.Request, status int, header http.Header) error {
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
	} {
		if got := header.Get(name); got != want {
			return fmt.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if header.Get("X-Request-Id") == "" || !strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") {
		return fmt.Errorf("request id or content policy is missing: %v", header)
	}
	if isPublicDocument(request.URL.Path) && status < http.StatusBadRequest {
		return nil // its test looks
	}
	private := strings.HasPrefix(request.URL.Path, "/api/") || strings.HasPrefix(request.URL.Path, "/oauth2/")
	caching := "no-store"
	if request.URL.Path == controlsPath && status == http.StatusOK {
		caching = "public, max-age=60"
	}
	if private && request.Method != http.MethodOptions && header.Get("Cache-Control") != caching {
		return fmt.Errorf("Cache-Control is %q, want %s", header.Get("Cache-Control"), caching)
	}
	return nil
}

// isPublicDocument: a DID document or a card, by an address of today or before.
func isPublicDocument(path string) bool {
	return strings.HasSuffix(path, "/did") || strings.HasSuffix(path, "/card") || path == "/api/v1/.well-known/did.json"
}

// isForPages: pages of any origin may read what is there.
func isForPages(path string) bool {
	return strings.HasPrefix(path, "/.well-known/") || strings.HasPrefix(path, "/agents/") || isPublicDocument(path)
}

func isOAuth(path string) bool {
	return strings.HasPrefix(path, "/oauth2/") && !strings.HasPrefix(path, "/oauth2/token/") || path == "/api/v1/token" || strings.HasPrefix(path, "/api/v1/token/")
}

func checkNoSuchRoute(request *http.Request, response *http.Response, body []byte) error {
	var refusal struct{ Code, Message, Error string }
	if err := json.Unmarshal(body, &refusal); err != nil {
		return fmt.Errorf("%d without a JSON body: %s", response.StatusCode, body)
	}
	want := map[int]string{http.StatusNotFound: "NOT_FOUND", http.StatusMethodNotAllowed: "METHOD_NOT_ALLOWED"}[response.StatusCode]
	got := refusal.Code
	if isOAuth(request.URL.Path) {
		want, got = "invalid_request", refusal.Error
	}
	if got != want || want == "" {
		return fmt.Errorf("%d %s: %s", response.StatusCode, got, body)
	}
	return nil
}

// server is one server under test.
type server struct {
	base        string
	http        *http.Client // checks every answer
	description description
}

func newServer(tb testing.TB, base string) *server {
	tb.Helper()
	d := describe(tb)
	transport := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	tb.Cleanup(transport.CloseIdleConnections)
	return &server{base: base, description: d, http: &http.Client{
		Transport:     checkedTransport{transport, d},
		Timeout:       time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// request is what is sent; what is not set is left out.
type request struct {
	method, path string
	token        string     // as a bearer
	basic        *agent     // as the client of HTTP Basic
	json         any        // the body, to be encoded
	form         url.Values // the body, as a form
	raw          io.Reader  // the body as it is
	header       http.Header
}

func get(token, path string) request {
	return request{method: http.MethodGet, path: path, token: token}
}
func remove(token, path string) request {
	return request{method: http.MethodDelete, path: path, token: token}
}
func post(token, path string, body any) request {
	return request{method: http.MethodPost, path: path, token: token, json: body}
}
func patch(token, path string, body any) request {
	return request{method: http.MethodPatch, path: path, token: token, json: body}
}

// with is the request with headers: name, value, and so on.
func (r request) with(pairs ...string) request {
	r.header = r.header.Clone()
	if r.header == nil {
		r.header = http.Header{}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		r.header.Add(pairs[i], pairs[i+1])
	}
	return r
}

func (r request) build(base string) (*http.Request, error) {
	body, contentType := r.raw, ""
	switch {
	case r.json != nil:
		encoded, err := json.Marshal(r.json)
		if err != nil {
			return nil, err
		}
		body, contentType = bytes.NewReader(encoded), "application/json"
	case r.form != nil:
		body, contentType = strings.NewReader(r.form.Encode()), "application/x-www-form-urlencoded"
	}
	built, err := http.NewRequestWithContext(context.Background(), r.method, base+r.path, body)
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		built.Header.Set("Content-Type", contentType)
	}
	if r.token != "" {
		built.Header.Set("Authorization", "Bearer "+r.token)
	}
	if r.basic != nil {
		built.SetBasicAuth(r.basic.id, r.basic.secret)
	}
	maps.Copy(built.Header, r.header)
	return built, nil
}

// answer is what came back.
type answer struct {
	to     request
	status int
	header http.Header
	body   []byte
}

// do sends a request. It may be called from any goroutine; must may not.
func (s *server) do(r request) (answer, error) {
	built, err := r.build(s.base)
	if err != nil {
		return answer{}, err
	}
	response, err := s.http.Do(built)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{r, response.StatusCode, response.Header, body}, err
}

// want sends a request and says what is wrong when the answer has another
// status or, where code is not empty, another error code.
func (s *server) want(r request, status int, code string) (answer, error) {
	a, err := s.do(r)
	if err == nil && (a.status != status || code != "" && a.code() != code) {
		err = fmt.Errorf("%s %s: got %d %s, want %d %s", r.method, r.path, a.status, a.body, status, code)
	}
	return a, err
}

// must is want, fatal.
func (s *server) must(tb testing.TB, r request, status int, code string) answer {
	tb.Helper()
	a, err := s.want(r, status, code)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// object is the body as a JSON object; empty when it is none.
func (a answer) object() map[string]any {
	object := map[string]any{}
	_ = json.Unmarshal(a.body, &object)
	return object
}

// code is the error code, of REST or OAuth.
func (a answer) code() string {
	if code := a.text("code"); code != "" {
		return code
	}
	return a.text("error")
}

func (a answer) text(field string) string {
	text, _ := a.object()[field].(string)
	return text
}

func (a answer) number(field string) float64 {
	number, _ := a.object()[field].(float64)
	return number
}

// list is the member data, or another one, as objects.
func (a answer) list(field string) []map[string]any {
	items, _ := a.object()[field].([]any)
	objects := make([]map[string]any, len(items))
	for i, item := range items {
		objects[i], _ = item.(map[string]any)
	}
	return objects
}

// texts is one field of each object.
func texts(objects []map[string]any, field string) []string {
	out := make([]string, len(objects))
	for i, object := range objects {
		out[i], _ = object[field].(string)
	}
	return out
}

// scene is a world with a server and its operator, signed in.
type scene struct {
	*server
	world    *servertest.World
	operator string // a token with every scope
	root     agent  // the operator's agent
}

// newScene starts a world whose first server has the public URL that it is
// really reached at.
func newScene(tb testing.TB, settings ...string) *scene {
	tb.Helper()
	port := strconv.Itoa(freePort(tb))
	world := servertest.NewWorld(tb, append([]string{
		"PUBLIC_URL=http://127.0.0.1:" + port,
		"MASTER_KEY_FILE=" + filepath.Join(tb.TempDir(), "master.key"),
	}, settings...)...)
	return enter(tb, world, "PORT="+port)
}

// enter starts a server of a world and signs the operator in.
func enter(tb testing.TB, world *servertest.World, settings ...string) *scene {
	tb.Helper()
	s := &scene{
		server: newServer(tb, world.Serve(tb, settings...)), world: world,
		root: agent{id: world.Operator.ClientID, secret: world.Operator.ClientSecret, organization: world.Operator.OrganizationID},
	}
	s.operator = s.token(tb, s.root, allScopes)
	return s
}

// another starts one more server of the world.
func (s *scene) another(tb testing.TB, settings ...string) *server {
	tb.Helper()
	return newServer(tb, s.world.Serve(tb, settings...))
}

func freePort(tb testing.TB) int {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer listener.Close()
	address, _ := listener.Addr().(*net.TCPAddr)
	return address.Port
}

const (
	allScopes    = "admin:orgs agents:read agents:write audit:read openid tokens:read webhooks:read webhooks:write"
	tenantScopes = "agents:read agents:write audit:read openid tokens:read webhooks:read webhooks:write"
)

// unique is a short text that nothing else in the test has.
func unique() string { return strings.ReplaceAll(uuid.NewString(), "-", "")[:16] }

// organization founds one on the enterprise tier; fields win.
func (s *scene) organization(tb testing.TB, fields map[string]any) string {
	tb.Helper()
	body := map[string]any{"name": "Acme", "slug": "acme-" + unique(), "planTier": "enterprise"}
	maps.Copy(body, fields)
	return s.must(tb, post(s.operator, "/api/v1/organizations", body), 201, "").text("organizationId")
}

// agent is a registered agent with a client secret.
type agent struct{ id, organization, credential, secret, email string }

func (a agent) path() string { return "/api/v1/agents/" + a.id }

func newAgentBody(organization, scopes string) map[string]any {
	body := map[string]any{
		"email": "agent-" + unique() + "@acme.example", "agentType": "screener", "version": "1.0.0",
		"capabilities": []string{"resume:read"}, "owner": "talent-team", "deploymentEnv": "production",
	}
	if organization != "" {
		body["organizationId"] = organization
	}
	if scopes != "" {
		body["scopes"] = strings.Fields(scopes)
	}
	return body
}

// agent registers an agent and gives it a credential.
func (s *scene) agent(tb testing.TB, organization, scopes string) agent {
	tb.Helper()
	a, err := s.newAgent(organization, scopes)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

func (s *scene) newAgent(organization, scopes string) (agent, error) {
	body := newAgentBody(organization, scopes)
	registered, err := s.want(post(s.operator, "/api/v1/agents", body), 201, "")
	if err != nil {
		return agent{}, err
	}
	a := agent{id: registered.text("agentId"), organization: organization, email: registered.text("email")}
	a.credential, a.secret, err = s.newCredential(s.operator, a)
	return a, err
}

// newCredential gives an agent one more client secret.
func (s *server) newCredential(token string, a agent) (credential, secret string, err error) {
	made, err := s.want(post(token, a.path()+"/credentials", map[string]any{}), 201, "")
	return made.text("credentialId"), made.text("clientSecret"), err
}

// tokenRequest asks for a token with HTTP Basic; an empty scope is left out.
func tokenRequest(a agent, scope string) request {
	form := url.Values{"grant_type": {"client_credentials"}}
	if scope != "" {
		form.Set("scope", scope)
	}
	return request{method: http.MethodPost, path: "/oauth2/token", basic: &a, form: form}
}

func (s *server) token(tb testing.TB, a agent, scope string) string {
	tb.Helper()
	return s.must(tb, tokenRequest(a, scope), 200, "").text("access_token")
}

// mustDie checks that a token opens nothing, and says nothing about why.
func (s *server) mustDie(token string) error {
	_, err := s.want(get(token, "/api/v1/agents?limit=1"), 401, "UNAUTHORIZED")
	return err
}

// head is the position of the newest event of the ledger.
func (s *server) head(tb testing.TB) float64 {
	tb.Helper()
	return s.must(tb, get("", "/health"), 200, "").number("ledgerPosition")
}

// until repeats an attempt until it gives no error, for what becomes so by
// itself. It pauses in between, so that the server gets the processor.
func until(tb testing.TB, attempt func() error) {
	tb.Helper()
	const patience = 30 * time.Second
	deadline := time.Now().Add(patience)
	for {
		err := attempt()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("after %s still: %v", patience, err)
		}
		time.Sleep(time.Millisecond)
	}
}

// parallel runs n jobs at the same time and reports what went wrong.
func parallel(tb testing.TB, n int, job func(i int) error) {
	tb.Helper()
	const shown = 5
	var group sync.WaitGroup
	start := make(chan struct{})
	errs := make([]error, n)
	for i := range n {
		group.Go(func() {
			<-start
			errs[i] = job(i)
		})
	}
	close(start)
	group.Wait()
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) > 0 {
		tb.Fatalf("%d of %d went wrong: %v", len(errs), n, errors.Join(errs[:min(len(errs), shown)]...))
	}
}
