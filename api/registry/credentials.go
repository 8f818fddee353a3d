package registry

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/idempotency"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/api/timestamp"
	"github.com/sentryagent/agentidp/api/wire"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

func (h *Handler) generateCredential(c *gin.Context) error {
	id, err := domain.ParseAgentID(c.Param("agentId"))
	if err != nil {
		return err
	}
	body, err := wire.Decode[gen.CredentialCreate](c)
	if err != nil {
		return err
	}
	material, err := h.newMaterial(domain.CredentialKind(wire.ValueOf(body.Kind)), body.PublicKeyJwk)
	if err != nil {
		return err
	}
	credentialID := domain.CredentialID{UUID: idempotency.NewID(c)}
	outcome, err := h.Ledger.GenerateCredential(c.Request.Context(), access.Origin(c), id, domain.GenerateCredential{
		Caller:       access.Caller(c),
		CredentialID: credentialID,
		Verifier:     material.verifier,
		PublicKey:    material.publicKey,
		ExpiresAt:    timeOf(body.ExpiresAt),
		At:           h.Now(),
		Since:        idempotency.Since(c),
	})
	if err != nil {
		return err
	}
	answerCredential(c, http.StatusCreated, outcome, credentialID, material)
	return nil
}

// rotateCredential rotates the credential that the path names, or the newest
// usable one when it names none.
func (h *Handler) rotateCredential(c *gin.Context) error {
	id, err := domain.ParseAgentID(c.Param("agentId"))
	if err != nil {
		return err
	}
	var credentialID domain.CredentialID
	if named := c.Param("credentialId"); named != "" {
		if credentialID, err = domain.ParseCredentialID(named); err != nil {
			return err
		}
	}
	body, err := wire.Decode[gen.CredentialRotate](c)
	if err != nil {
		return err
	}
	material, err := h.newMaterial("", body.PublicKeyJwk)
	if err != nil {
		return err
	}
	outcome, err := h.Ledger.RotateCredential(c.Request.Context(), access.Origin(c), id, domain.RotateCredential{
		Caller:       access.Caller(c),
		CredentialID: credentialID,
		Verifier:     material.verifier,
		PublicKey:    material.publicKey,
		ExpiresAt:    timeOf(body.ExpiresAt),
		At:           h.Now(),
		Since:        idempotency.Since(c),

		KeepDelegations: wire.ValueOf(body.Delegations) == gen.CredentialRotateDelegationsKeep,
	})
	if err != nil {
		return err
	}
	rotated, _ := outcome.Events[0].(domain.CredentialRotated)
	answerCredential(c, http.StatusOK, outcome, rotated.CredentialID, material)
	return nil
}

func (h *Handler) revokeCredential(c *gin.Context) error {
	id, err := domain.ParseAgentID(c.Param("agentId"))
	if err != nil {
		return err
	}
	credentialID, err := domain.ParseCredentialID(c.Param("credentialId"))
	if err != nil {
		return err
	}
	outcome, err := h.Ledger.RevokeCredential(c.Request.Context(), access.Origin(c), id,
		domain.RevokeCredential{Caller: access.Caller(c), CredentialID: credentialID, Reason: "revoked by request"})
	if err != nil {
		return err
	}
	router.Answer(c, http.StatusNoContent, outcome.Position, nil)
	return nil
}

func (h *Handler) listCredentials(c *gin.Context) error {
	id, err := domain.ParseAgentID(c.Param("agentId"))
	if err != nil {
		return err
	}
	tenant := access.Tenant(c)
	if _, err := h.Queries.Agent(c.Request.Context(), tenant, id); err != nil {
		return access.NotVisible(c, err, "agent", domain.CodeAgentNotFound)
	}
	page := wire.PageOf(c)
	credentials, err := h.Queries.Credentials(c.Request.Context(), tenant, readmodels.CredentialFilter{
		AgentID: id, Status: domain.CredentialStatus(c.Query("status")), At: h.Now(), Page: page,
	})
	if err != nil {
		return err
	}
	wire.AnswerList(c, page, credentials, h.shownCredentialBody)
	return nil
}

// material is what a credential is made of: a secret, shown once, with its
// verifier, or a public key.
type material struct {
	secret    string
	verifier  *domain.Verifier
	publicKey json.RawMessage
}

// newMaterial takes the caller's public key, or makes a secret where none is given.
func (h *Handler) newMaterial(kind domain.CredentialKind, jwk *gen.NewPublicKeyJwk) (material, error) {
	switch {
	case kind == domain.KeyCredential && jwk == nil:
		return material{}, domain.Invalid("publicKeyJwk", "is needed for a credential of kind private_key_jwt", nil)
	case kind == domain.SecretCredential && jwk != nil:
		return material{}, domain.Invalid("publicKeyJwk", "goes with a credential of kind private_key_jwt only", nil)
	case jwk != nil:
		key, err := h.CheckKey(*jwk)
		return material{publicKey: key}, err
	}
	secret, verifier := h.NewSecret()
	return material{secret: secret, verifier: &verifier}, nil
}

// answerCredential is the one answer that ever holds the secret.
func answerCredential(c *gin.Context, status int, outcome ledger.Outcome[domain.Agent], id domain.CredentialID, made material) {
	credential, _ := outcome.State.Credential(id)
	body := credentialBody(outcome.State.ID, credential)
	shown := gen.CredentialWithSecret{
		ClientID: body.ClientID, CredentialID: body.CredentialID, Kind: body.Kind, Status: body.Status,
		CreatedAt: body.CreatedAt, ExpiresAt: body.ExpiresAt, RevokedAt: body.RevokedAt, RotatedAt: body.RotatedAt,
		PublicKeyJwk: body.PublicKeyJwk,
	}
	if made.secret != "" {
		shown.ClientSecret = &made.secret
	}
	router.Answer(c, status, outcome.Position, shown)
}

func credentialBody(agent domain.AgentID, credential domain.Credential) gen.Credential {
	body := gen.Credential{
		ClientID:     agent.UUID,
		CredentialID: credential.ID.UUID,
		Kind:         gen.CredentialKind(credential.Kind),
		Status:       gen.CredentialStatus(credential.Status),
		CreatedAt:    wire.Time(credential.CreatedAt),
		ExpiresAt:    wire.TimeOrNull(credential.ExpiresAt),
		RotatedAt:    wire.TimeOrNull(credential.RotatedAt),
		RevokedAt:    wire.TimeOrNull(credential.RevokedAt),
	}
	var jwk gen.PublicKeyJwk
	if credential.PublicKey != nil && json.Unmarshal(credential.PublicKey, &jwk) == nil {
		body.PublicKeyJwk = &jwk
	}
	return body
}

func (h *Handler) shownCredentialBody(c readmodels.Credential) gen.Credential {
	c.Status = c.StatusAt(h.Now())
	return credentialBody(c.AgentID, c.Credential)
}

func timeOf(t *timestamp.Milli) *time.Time {
	if t == nil {
		return nil
	}
	utc := t.UTC()
	return &utc
}
