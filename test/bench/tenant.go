package main

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

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/sentryagent/agentidp/server/upkeep"
)

// agents is how many the tenant has, and how many clients the most of the
// measurements.
const agents = 64

// tenant is an organization, with quotas that are out of reach, and its agents.
type tenant struct {
	base   string
	agents []agent
}

type agent struct {
	id, secret string
	token      string // a living one
}

// newTenant makes one through the API of a server. Its agents have some scopes,
// and more where they are given.
func (b *bench) newTenant(ctx context.Context, s *node, at ledgerAt, more ...string) (*tenant, error) {
	settings, err := b.config(at)
	if err != nil {
		return nil, err
	}
	operator, err := upkeep.Bootstrap(ctx, settings, true)
	if err != nil {
		return nil, err
	}
	t := &tenant{base: "http://" + s.address, agents: make([]agent, agents)}
	const scopes = "admin:orgs agents:read agents:write audit:read tokens:read"
	bearer, err := t.token(ctx, operator.ClientID, operator.ClientSecret, scopes)
	if err != nil {
		return nil, err
	}
	slug := "bench-" + uuid.NewString()
	var organization struct {
		ID string `json:"organizationId"`
	}
	// A count that nothing bounds need not be asked for: where tiers are on, each
	// call is to be held against a limit.
	const callsPerDay = 1_000_000_000
	err = t.post(ctx, "/api/v1/organizations", bearer, map[string]any{
		"name": "Bench", "slug": slug, "planTier": "enterprise", "maxCallsPerDay": callsPerDay,
	}, &organization)
	if err != nil {
		return nil, err
	}
	const atOnce = 8
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range t.agents {
		group.Go(func() error {
			return t.register(ctx, bearer, organization.ID, fmt.Sprintf("%s-%d", slug, i), more, &t.agents[i])
		})
	}
	return t, group.Wait()
}

func (t *tenant) register(ctx context.Context, bearer, organization, name string, more []string, a *agent) error {
	var registered struct {
		ID string `json:"agentId"`
	}
	err := t.post(ctx, "/api/v1/agents", bearer, map[string]any{
		"organizationId": organization, "email": name + "@bench.example", "agentType": "screener", "version": "1.0.0",
		"capabilities": []string{"resume:read"}, "owner": "bench", "deploymentEnv": "production",
		"description": "asks for tokens, again and again", "scopes": append([]string{"agents:read", "tokens:read"}, more...),
	}, &registered)
	if err != nil {
		return err
	}
	var credential struct {
		Secret string `json:"clientSecret"`
	}
	if err := t.post(ctx, "/api/v1/agents/"+registered.ID+"/credentials", bearer, map[string]any{}, &credential); err != nil {
		return err
	}
	a.id, a.secret = registered.ID, credential.Secret
	a.token, err = t.token(ctx, a.id, a.secret, "")
	return err
}

func (t *tenant) token(ctx context.Context, id, secret, scope string) (string, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if scope != "" {
		form.Set("scope", scope)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.base+"/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(id, secret)
	var answer struct {
		Token string `json:"access_token"`
	}
	return answer.Token, exchange(request, &answer)
}

func (t *tenant) post(ctx context.Context, path, bearer string, body, answer any) error {
	content, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.base+path, bytes.NewReader(content))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+bearer)
	return exchange(request, answer)
}

func exchange(request *http.Request, answer any) error {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %s %s", request.Method, request.URL.Path, response.Status, body)
	}
	return json.Unmarshal(body, answer)
}

// The requests of the loads, whole.

func (t *tenant) tokenRequest(a agent) []byte {
	return postForm(t.base, "/oauth2/token", "Basic "+base64.StdEncoding.EncodeToString([]byte(a.id+":"+a.secret)),
		"grant_type=client_credentials")
}

func (t *tenant) introspectRequest(a agent) []byte {
	return postForm(t.base, "/oauth2/introspect", "Bearer "+a.token, "token="+a.token)
}

func (t *tenant) getRequest(a agent) []byte {
	return fmt.Appendf(nil, "GET /api/v1/agents/%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nAccept: application/json\r\n\r\n",
		a.id, host(t.base), a.token)
}

// postForm has no Authorization where that is empty.
func postForm(base, path, authorization, form string) []byte {
	if authorization != "" {
		authorization = "Authorization: " + authorization + "\r\n"
	}
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\n%sContent-Type: application/x-www-form-urlencoded\r\n"+
		"Content-Length: %d\r\n\r\n%s", path, host(base), authorization, len(form), form)
}

func host(base string) string { return strings.TrimPrefix(base, "http://") }

// requests makes one for each of some clients; they share out the first few agents.
func (t *tenant) requests(clients, ofAgents int, request func(agent) []byte) [][]byte {
	all := make([][]byte, clients)
	for i := range all {
		all[i] = request(t.agents[i%ofAgents])
	}
	return all
}
