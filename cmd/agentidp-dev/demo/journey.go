package demo

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/server/upkeep"
)

const operatorScope = "admin:orgs agents:read agents:write audit:read tokens:read"

// journey is one walk through the life of an agent.
type journey struct {
	*client
	*narrator
	operator upkeep.Operator

	operatorToken  string
	organizationID string
	agentID        string
	credentialID   string
	secret         string
	token          string
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

// expect turns an answer with another status into an error that shows it.
func expect(r reply, err error, status int) (reply, error) {
	if err == nil && r.status != status {
		err = fmt.Errorf("expected status %d, got %d: %v", status, r.status, r.body)
	}
	return r, err
}

func (j *journey) signIn(ctx context.Context) error {
	j.step("The platform operator trades its client secret for a token. admin:orgs is never given unasked.")
	answer, err := j.client.token(ctx, j.operator.ClientID, j.operator.ClientSecret, operatorScope)
	if answer, err = expect(answer, err, http.StatusOK); err != nil {
		return err
	}
	j.operatorToken = answer.text("access_token")
	j.show("scope", answer.text("scope"))
	return nil
}

func (j *journey) foundOrganization(ctx context.Context) error {
	j.step("It founds an organization: a tenant with a slug that nobody else can have.")
	slug := "acme-" + ledger.NewID().String()[24:]
	answer, err := j.call(ctx, http.MethodPost, "/api/v1/organizations", j.operatorToken, map[string]any{"name": "Acme", "slug": slug})
	if answer, err = expect(answer, err, http.StatusCreated); err != nil {
		return err
	}
	j.organizationID = answer.text("organizationId")
	j.show("organization", j.organizationID+"  "+slug)
	return nil
}

func (j *journey) registerAgent(ctx context.Context) error {
	j.step("An agent is registered in it, with the scopes that it may ever ask for.")
	answer, err := j.call(ctx, http.MethodPost, "/api/v1/agents", j.operatorToken, map[string]any{
		"organizationId": j.organizationID,
		"email":          "screener-" + j.organizationID[24:] + "@acme.example",
		"agentType":      "screener", "version": "1.0.0", "owner": "talent-team", "deploymentEnv": "development",
		"capabilities": []string{"resume:read"}, "scopes": []string{"agents:read", "audit:read"},
	})
	if answer, err = expect(answer, err, http.StatusCreated); err != nil {
		return err
	}
	j.agentID = answer.text("agentId")
	j.show("agent", j.agentID)
	j.show("did", answer.text("did"))
	return nil
}

func (j *journey) generateCredential(ctx context.Context) error {
	j.step("It gets a credential. The secret is shown this once; the server keeps a keyed hash of it.")
	answer, err := j.call(ctx, http.MethodPost, "/api/v1/agents/"+j.agentID+"/credentials", j.operatorToken, map[string]any{})
	if answer, err = expect(answer, err, http.StatusCreated); err != nil {
		return err
	}
	j.credentialID, j.secret = answer.text("credentialId"), answer.text("clientSecret")
	j.show("secret", j.secret[:12]+"…")
	return nil
}

func (j *journey) issueToken(ctx context.Context) error {
	j.step("The agent trades it for a token, which is signed only after its issuance is durable in the ledger.")
	answer, err := j.client.token(ctx, j.agentID, j.secret, "")
	if answer, err = expect(answer, err, http.StatusOK); err != nil {
		return err
	}
	j.token = answer.text("access_token")
	claims, err := claimsOf(j.token)
	if err != nil {
		return err
	}
	j.show("claims", fmt.Sprintf("scope=%v exp-iat=%v ledger=%v", claims["scope"], seconds(claims), claims["ledger"]))
	return nil
}

func (j *journey) useToken(ctx context.Context) error {
	j.step("The token opens what its scopes allow, and nothing else.")
	answer, err := j.call(ctx, http.MethodGet, "/api/v1/agents", j.token, nil)
	if answer, err = expect(answer, err, http.StatusOK); err != nil {
		return err
	}
	j.show("GET /api/v1/agents", fmt.Sprintf("200, %v agent", answer.body["total"]))
	answer, err = j.call(ctx, http.MethodDelete, "/api/v1/agents/"+j.agentID, j.token, nil)
	if answer, err = expect(answer, err, http.StatusForbidden); err != nil {
		return err
	}
	j.show("DELETE /api/v1/agents/…", "403 "+answer.text("code"))
	return nil
}

func (j *journey) rotate(ctx context.Context) error {
	j.step("The credential is rotated: from that answer on the old secret and the old token are dead, on every node.")
	answer, err := j.call(ctx, http.MethodPost, "/api/v1/agents/"+j.agentID+"/credentials/"+j.credentialID+"/rotate", j.operatorToken, map[string]any{})
	if answer, err = expect(answer, err, http.StatusOK); err != nil {
		return err
	}
	newSecret := answer.text("clientSecret")
	answer, err = j.client.token(ctx, j.agentID, j.secret, "")
	if answer, err = expect(answer, err, http.StatusUnauthorized); err != nil {
		return err
	}
	j.show("old secret", "401 "+answer.text("error"))
	answer, err = j.call(ctx, http.MethodGet, "/api/v1/agents", j.token, nil)
	if answer, err = expect(answer, err, http.StatusUnauthorized); err != nil {
		return err
	}
	j.show("old token", "401 "+answer.text("code"))
	j.secret = newSecret
	answer, err = j.client.token(ctx, j.agentID, j.secret, "")
	if answer, err = expect(answer, err, http.StatusOK); err != nil {
		return err
	}
	j.token = answer.text("access_token")
	j.show("new secret", "200, a new token")
	return nil
}

func (j *journey) suspendAndReactivate(ctx context.Context) error {
	j.step("Suspended, the agent gets no token and its tokens open nothing. Reactivated, it starts afresh.")
	if err := j.setStatus(ctx, "suspended"); err != nil {
		return err
	}
	answer, err := j.client.token(ctx, j.agentID, j.secret, "")
	if answer, err = expect(answer, err, http.StatusUnauthorized); err != nil {
		return err
	}
	j.show("suspended", "401 "+answer.text("error"))
	if err := j.setStatus(ctx, "active"); err != nil {
		return err
	}
	answer, err = j.client.token(ctx, j.agentID, j.secret, "")
	if _, err = expect(answer, err, http.StatusOK); err != nil {
		return err
	}
	j.show("reactivated", "200, a new token")
	return nil
}

func (j *journey) setStatus(ctx context.Context, status string) error {
	answer, err := j.call(ctx, http.MethodPatch, "/api/v1/agents/"+j.agentID, j.operatorToken,
		map[string]any{"status": status, "reason": "demonstration"})
	_, err = expect(answer, err, http.StatusOK)
	return err
}

func (j *journey) decommission(ctx context.Context) error {
	j.step("Decommissioned, it is gone for good. Its record stays.")
	answer, err := j.call(ctx, http.MethodDelete, "/api/v1/agents/"+j.agentID, j.operatorToken, nil)
	if _, err = expect(answer, err, http.StatusNoContent); err != nil {
		return err
	}
	answer, err = j.call(ctx, http.MethodGet, "/api/v1/agents/"+j.agentID, j.operatorToken, nil)
	if answer, err = expect(answer, err, http.StatusOK); err != nil {
		return err
	}
	j.show("status", answer.text("status"))
	return nil
}

func (j *journey) readAudit(ctx context.Context) error {
	j.step("Every step is an event in the ledger, chained to the one before it by its hash.")
	answer, err := j.call(ctx, http.MethodGet, "/api/v1/audit?limit=20&organizationId="+j.organizationID, j.operatorToken, nil)
	if answer, err = expect(answer, err, http.StatusOK); err != nil {
		return err
	}
	events, _ := answer.body["data"].([]any)
	for _, item := range events {
		event, _ := item.(map[string]any)
		hash, _ := event["hash"].(string)
		j.show(fmt.Sprintf("%6.0f", event["position"]), fmt.Sprintf("%-26v %.16s…", event["action"], hash))
	}
	return nil
}

func (j *journey) verify(ctx context.Context) error {
	j.step("The chain is verified: every record hashed again, every link followed.")
	answer, err := j.call(ctx, http.MethodGet, "/api/v1/audit/verify", j.operatorToken, nil)
	if answer, err = expect(answer, err, http.StatusOK); err != nil {
		return err
	}
	if answer.body["verified"] != true {
		return fmt.Errorf("the ledger does not verify: %v", answer.body)
	}
	j.show("verified", fmt.Sprintf("true, %.0f events", answer.body["checkedCount"]))
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
