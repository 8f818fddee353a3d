package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"
	"golang.org/x/sync/errgroup"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
	"github.com/sentryagent/agentidp/server/upkeep"
)

// agents is how many the tenant has, and how many clients the most of the
// measurements.
const agents = 64

// tenant is an organization, with quotas that are out of reach, and its agents.
type tenant struct {
	base   string
	api    *agentidp.ClientWithResponses
	agents []agent
}

type agent struct {
	id, secret string
	token      string // a living one
}

// newTenant makes one through the API of a server. Its agents have some scopes,
// and more where they are given.
func (b *bench) newTenant(ctx context.Context, s *node, at ledgerAt, more ...agentidp.Scope) (*tenant, error) {
	settings, err := b.config(at)
	if err != nil {
		return nil, err
	}
	operator, err := upkeep.Bootstrap(ctx, settings, true)
	if err != nil {
		return nil, err
	}
	t := &tenant{base: "http://" + s.address, agents: make([]agent, agents)}
	if t.api, err = agentidp.New(t.base, http.DefaultClient); err != nil {
		return nil, err
	}
	const scopes = "admin:orgs agents:read agents:write audit:read tokens:read"
	token, err := t.token(ctx, operator.ClientID, operator.ClientSecret, scopes)
	if err != nil {
		return nil, err
	}
	asOperator := agentidp.Bearer(token)
	slug := "bench-" + uuid.NewString()
	// A count that nothing bounds need not be asked for: where tiers are on, each
	// call is to be held against a limit.
	const callsPerDay = 1_000_000_000
	organization, err := t.api.CreateOrganizationWithResponse(ctx, nil, agentidp.OrganizationCreate{
		Name: "Bench", Slug: slug, PlanTier: new(agentidp.TierEnterprise), MaxCallsPerDay: nullable.NewNullableWithValue[int64](callsPerDay),
	}, asOperator)
	if err := agentidp.Want(http.StatusCreated, organization, err); err != nil {
		return nil, err
	}
	const atOnce = 8
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range t.agents {
		group.Go(func() error {
			return t.register(ctx, asOperator, organization.JSON201.OrganizationID, fmt.Sprintf("%s-%d", slug, i), more, &t.agents[i])
		})
	}
	return t, group.Wait()
}

func (t *tenant) register(ctx context.Context, asOperator agentidp.RequestEditorFn, organization uuid.UUID, name string, more []agentidp.Scope, a *agent) error {
	scopes := append([]agentidp.Scope{agentidp.ScopeAgentsRead, agentidp.ScopeTokensRead}, more...)
	registered, err := t.api.RegisterAgentWithResponse(ctx, nil, agentidp.AgentCreate{
		OrganizationID: &organization, Email: name + "@bench.example", AgentType: agentidp.AgentTypeScreener, Version: "1.0.0",
		Capabilities: []agentidp.Capability{"resume:read"}, Owner: "bench", DeploymentEnv: agentidp.DeploymentEnvProduction,
		Description: new("asks for tokens, again and again"), Scopes: &scopes,
	}, asOperator)
	if err := agentidp.Want(http.StatusCreated, registered, err); err != nil {
		return err
	}
	id := registered.JSON201.AgentID
	credential, err := t.api.GenerateCredentialWithResponse(ctx, id, nil, agentidp.CredentialCreate{}, asOperator)
	if err := agentidp.Want(http.StatusCreated, credential, err); err != nil {
		return err
	}
	a.id, a.secret = id.String(), *credential.JSON201.ClientSecret
	a.token, err = t.token(ctx, a.id, a.secret, "")
	return err
}

// token asks for one by client credentials, with the scopes of the agent where none are named.
func (t *tenant) token(ctx context.Context, id, secret, scope string) (string, error) {
	form := agentidp.TokenRequest{GrantType: "client_credentials"}
	if scope != "" {
		form.Scope = &scope
	}
	issued, err := t.api.IssueTokenWithFormdataBodyWithResponse(ctx, form, agentidp.Secret(id, secret))
	if err := agentidp.Want(http.StatusOK, issued, err); err != nil {
		return "", err
	}
	return issued.JSON200.AccessToken, nil
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
