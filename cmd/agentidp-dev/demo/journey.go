package demo

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/ledger"
	agentidp "github.com/sentryagent/agentidp/sdk/go"
	"github.com/sentryagent/agentidp/server/upkeep"
)

const operatorScope = "admin:orgs agents:read agents:write audit:read tokens:read"

// journey is one walk through the life of an agent.
type journey struct {
	*narrator
	api      *agentidp.ClientWithResponses
	operator upkeep.Operator

	asOperator   agentidp.RequestEditorFn
	organization uuid.UUID
	agent        uuid.UUID
	credential   uuid.UUID
	secret       string
	asAgent      agentidp.RequestEditorFn
}

func newJourney(n *narrator, operator upkeep.Operator) (*journey, error) {
	const patience = 30 * time.Second
	api, err := agentidp.New(operator.BaseURL, &http.Client{Timeout: patience})
	return &journey{narrator: n, api: api, operator: operator}, err
}

// walk goes all the way; the first step that does not do what it says ends it.
func (j *journey) walk(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		j.signIn, j.foundOrganization, j.registerAgent, j.generateCredential, j.issueToken, j.useToken,
		j.rotate, j.suspendAndReactivate, j.decommission, j.readAudit, j.verify,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// refusal is what a program reads of an answer that refuses.
func refusal(a agentidp.Answer) string {
	var body struct{ Code, Error string }
	_ = json.Unmarshal(a.GetBody(), &body) // what is no refusal has no code
	return body.Code + body.Error
}

// tokenOf trades a client secret for an access token.
func (j *journey) tokenOf(ctx context.Context, id, secret string, scope *string) (*agentidp.IssueTokenResponse, error) {
	return j.api.IssueTokenWithFormdataBodyWithResponse(ctx, agentidp.TokenRequest{GrantType: "client_credentials", Scope: scope}, agentidp.Secret(id, secret))
}

func (j *journey) signIn(ctx context.Context) error {
	j.step("The platform operator trades its client secret for a token. admin:orgs is never given unasked.")
	issued, err := j.tokenOf(ctx, j.operator.ClientID, j.operator.ClientSecret, new(operatorScope))
	if err := agentidp.Want(http.StatusOK, issued, err); err != nil {
		return err
	}
	j.asOperator = agentidp.Bearer(issued.JSON200.AccessToken)
	j.show("scope", issued.JSON200.Scope)
	return nil
}

func (j *journey) foundOrganization(ctx context.Context) error {
	j.step("It founds an organization: a tenant with a slug that nobody else can have.")
	slug := "acme-" + ledger.NewID().String()[24:]
	made, err := j.api.CreateOrganizationWithResponse(ctx, nil, agentidp.OrganizationCreate{Name: "Acme", Slug: slug}, j.asOperator)
	if err := agentidp.Want(http.StatusCreated, made, err); err != nil {
		return err
	}
	j.organization = made.JSON201.OrganizationID
	j.show("organization", j.organization.String()+"  "+slug)
	return nil
}

func (j *journey) registerAgent(ctx context.Context) error {
	j.step("An agent is registered in it, with the scopes that it may ever ask for.")
	made, err := j.api.RegisterAgentWithResponse(ctx, nil, agentidp.AgentCreate{
		OrganizationID: &j.organization,
		Email:          "screener-" + j.organization.String()[24:] + "@acme.example",
		AgentType:      agentidp.AgentTypeScreener, Version: "1.0.0", Owner: "talent-team", DeploymentEnv: agentidp.DeploymentEnvDevelopment,
		Capabilities: []agentidp.Capability{"resume:read"}, Scopes: &[]agentidp.Scope{agentidp.ScopeAgentsRead, agentidp.ScopeAuditRead},
	}, j.asOperator)
	if err := agentidp.Want(http.StatusCreated, made, err); err != nil {
		return err
	}
	j.agent = made.JSON201.AgentID
	j.show("agent", j.agent.String())
	j.show("did", made.JSON201.Did)
	return nil
}

func (j *journey) generateCredential(ctx context.Context) error {
	j.step("It gets a credential. The secret is shown this once; the server keeps a keyed hash of it.")
	made, err := j.api.GenerateCredentialWithResponse(ctx, j.agent, nil, agentidp.CredentialCreate{}, j.asOperator)
	if err := agentidp.Want(http.StatusCreated, made, err); err != nil {
		return err
	}
	j.credential, j.secret = made.JSON201.CredentialID, *made.JSON201.ClientSecret
	j.show("secret", j.secret[:12]+"…")
	return nil
}

func (j *journey) issueToken(ctx context.Context) error {
	j.step("The agent trades it for a token, which is signed only after its issuance is durable in the ledger.")
	issued, err := j.tokenOf(ctx, j.agent.String(), j.secret, nil)
	if err := agentidp.Want(http.StatusOK, issued, err); err != nil {
		return err
	}
	j.asAgent = agentidp.Bearer(issued.JSON200.AccessToken)
	claims, err := claimsOf(issued.JSON200.AccessToken)
	if err != nil {
		return err
	}
	j.show("claims", fmt.Sprintf("scope=%v exp-iat=%v ledger=%v", claims["scope"], seconds(claims), claims["ledger"]))
	return nil
}

func (j *journey) useToken(ctx context.Context) error {
	j.step("The token opens what its scopes allow, and nothing else.")
	agents, err := j.api.ListAgentsWithResponse(ctx, nil, j.asAgent)
	if err := agentidp.Want(http.StatusOK, agents, err); err != nil {
		return err
	}
	j.show("GET /api/v1/agents", fmt.Sprintf("200, %d agent", agents.JSON200.Total))
	refused, err := j.api.DecommissionAgentWithResponse(ctx, j.agent, j.asAgent)
	if err := agentidp.Want(http.StatusForbidden, refused, err); err != nil {
		return err
	}
	j.show("DELETE /api/v1/agents/…", "403 "+refusal(refused))
	return nil
}

func (j *journey) rotate(ctx context.Context) error {
	j.step("The credential is rotated: from that answer on the old secret and the old token are dead, on every node.")
	rotated, err := j.api.RotateCredentialWithResponse(ctx, j.agent, j.credential, nil, agentidp.CredentialRotate{}, j.asOperator)
	if err := agentidp.Want(http.StatusOK, rotated, err); err != nil {
		return err
	}
	refused, err := j.tokenOf(ctx, j.agent.String(), j.secret, nil)
	if err := agentidp.Want(http.StatusUnauthorized, refused, err); err != nil {
		return err
	}
	j.show("old secret", "401 "+refusal(refused))
	agents, err := j.api.ListAgentsWithResponse(ctx, nil, j.asAgent)
	if err := agentidp.Want(http.StatusUnauthorized, agents, err); err != nil {
		return err
	}
	j.show("old token", "401 "+refusal(agents))
	j.secret = *rotated.JSON200.ClientSecret
	issued, err := j.tokenOf(ctx, j.agent.String(), j.secret, nil)
	if err := agentidp.Want(http.StatusOK, issued, err); err != nil {
		return err
	}
	j.asAgent = agentidp.Bearer(issued.JSON200.AccessToken)
	j.show("new secret", "200, a new token")
	return nil
}

func (j *journey) suspendAndReactivate(ctx context.Context) error {
	j.step("Suspended, the agent gets no token and its tokens open nothing. Reactivated, it starts afresh.")
	if err := j.setStatus(ctx, agentidp.AgentStatusSuspended); err != nil {
		return err
	}
	refused, err := j.tokenOf(ctx, j.agent.String(), j.secret, nil)
	if err := agentidp.Want(http.StatusUnauthorized, refused, err); err != nil {
		return err
	}
	j.show("suspended", "401 "+refusal(refused))
	if err := j.setStatus(ctx, agentidp.AgentStatusActive); err != nil {
		return err
	}
	issued, err := j.tokenOf(ctx, j.agent.String(), j.secret, nil)
	if err := agentidp.Want(http.StatusOK, issued, err); err != nil {
		return err
	}
	j.show("reactivated", "200, a new token")
	return nil
}

func (j *journey) setStatus(ctx context.Context, status agentidp.AgentStatus) error {
	changed, err := j.api.UpdateAgentWithResponse(ctx, j.agent, nil, agentidp.AgentUpdate{Status: &status, Reason: new("demonstration")}, j.asOperator)
	return agentidp.Want(http.StatusOK, changed, err)
}

func (j *journey) decommission(ctx context.Context) error {
	j.step("Decommissioned, it is gone for good. Its record stays.")
	gone, err := j.api.DecommissionAgentWithResponse(ctx, j.agent, j.asOperator)
	if err := agentidp.Want(http.StatusNoContent, gone, err); err != nil {
		return err
	}
	agent, err := j.api.GetAgentWithResponse(ctx, j.agent, nil, j.asOperator)
	if err := agentidp.Want(http.StatusOK, agent, err); err != nil {
		return err
	}
	j.show("status", string(agent.JSON200.Status))
	return nil
}

func (j *journey) readAudit(ctx context.Context) error {
	j.step("Every step is an event in the ledger, chained to the one before it by its hash.")
	trail, err := j.api.ListAuditEventsWithResponse(ctx, &agentidp.ListAuditEventsParams{Limit: new(20), OrganizationID: &j.organization}, j.asOperator)
	if err := agentidp.Want(http.StatusOK, trail, err); err != nil {
		return err
	}
	for _, event := range trail.JSON200.Data {
		j.show(fmt.Sprintf("%6d", event.Position), fmt.Sprintf("%-26s %.16s…", event.Action, event.Hash))
	}
	return nil
}

func (j *journey) verify(ctx context.Context) error {
	j.step("The chain is verified: every record hashed again, every link followed.")
	found, err := j.api.VerifyAuditTrailWithResponse(ctx, nil, j.asOperator)
	if err := agentidp.Want(http.StatusOK, found, err); err != nil {
		return err
	}
	if !found.JSON200.Verified {
		return fmt.Errorf("the ledger does not verify: %s", found.Body)
	}
	j.show("verified", fmt.Sprintf("true, %d events", found.JSON200.CheckedCount))
	return nil
}

func claimsOf(token string) (map[string]any, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("a token of %d parts", len(parts))
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, err
	}
	var claims map[string]any
	return claims, json.Unmarshal(payload, &claims)
}

func seconds(claims map[string]any) float64 {
	expires, _ := claims["exp"].(float64)
	issued, _ := claims["iat"].(float64)
	return expires - issued
}
