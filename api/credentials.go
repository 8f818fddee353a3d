package api

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/api/timestamp"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

func (s *Server) generateCredential(c *gin.Context) error {
	id, err := domain.ParseAgentID(c.Param("agentId"))
	if err != nil {
		return err
	}
	body, err := decode[gen.CredentialCreate](c)
	if err != nil {
		return err
	}
	material, err := s.newMaterial(domain.CredentialKind(valueOf(body.Kind)), body.PublicKeyJwk)
	if err != nil {
		return err
	}
	credentialID := domain.CredentialID{UUID: newID(c)}
	outcome, err := s.ledger.GenerateCredential(c.Request.Context(), s.origin(c), id, domain.GenerateCredential{
		Caller:       principal(c),
		CredentialID: credentialID,
		Verifier:     material.verifier,
		PublicKey:    material.publicKey,
		ExpiresAt:    timeOf(body.ExpiresAt),
		At:           s.now(),
		Since:        turnSince(c),
	})
	if err != nil {
		return err
	}
	answerCredential(c, http.StatusCreated, outcome, credentialID, material)
	return nil
}

// rotateCredential rotates the credential that the path names, or the newest
// usable one when it names none.
func (s *Server) rotateCredential(c *gin.Context) error {
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
	body, err := decode[gen.CredentialRotate](c)
	if err != nil {
		return err
	}
	material, err := s.newMaterial("", body.PublicKeyJwk)
	if err != nil {
		return err
	}
	outcome, err := s.ledger.RotateCredential(c.Request.Context(), s.origin(c), id, domain.RotateCredential{
		Caller:       principal(c),
		CredentialID: credentialID,
		Verifier:     material.verifier,
		PublicKey:    material.publicKey,
		ExpiresAt:    timeOf(body.ExpiresAt),
		At:           s.now(),
		Since:        turnSince(c),

		KeepDelegations: valueOf(body.Delegations) == gen.CredentialRotateDelegationsKeep,
	})
	if err != nil {
		return err
	}
	rotated, _ := outcome.Events[0].(domain.CredentialRotated)
	answerCredential(c, http.StatusOK, outcome, rotated.CredentialID, material)
	return nil
}

func (s *Server) revokeCredential(c *gin.Context) error {
	id, err := domain.ParseAgentID(c.Param("agentId"))
	if err != nil {
		return err
	}
	credentialID, err := domain.ParseCredentialID(c.Param("credentialId"))
	if err != nil {
		return err
	}
	outcome, err := s.ledger.RevokeCredential(c.Request.Context(), s.origin(c), id,
		domain.RevokeCredential{Caller: principal(c), CredentialID: credentialID, Reason: "revoked by request"})
	if err != nil {
		return err
	}
	router.Answer(c, http.StatusNoContent, outcome.Position, nil)
	return nil
}

func (s *Server) listCredentials(c *gin.Context) error {
	id, err := domain.ParseAgentID(c.Param("agentId"))
	if err != nil {
		return err
	}
	tenant := tenantOf(principal(c))
	if _, err := s.queries.Agent(c.Request.Context(), tenant, id); err != nil {
		return notVisible(c, err, "agent", domain.CodeAgentNotFound)
	}
	page := pageOf(c)
	credentials, err := s.queries.Credentials(c.Request.Context(), tenant, readmodels.CredentialFilter{
		AgentID: id, Status: domain.CredentialStatus(c.Query("status")), At: s.now(), Page: page,
	})
	if err != nil {
		return err
	}
	answerList(c, page, credentials, s.shownCredentialBody)
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
func (s *Server) newMaterial(kind domain.CredentialKind, jwk *gen.NewPublicKeyJwk) (material, error) {
	switch {
	case kind == domain.KeyCredential && jwk == nil:
		return material{}, domain.Invalid("publicKeyJwk", "is needed for a credential of kind private_key_jwt", nil)
	case kind == domain.SecretCredential && jwk != nil:
		return material{}, domain.Invalid("publicKeyJwk", "goes with a credential of kind private_key_jwt only", nil)
	case jwk != nil:
		key, err := checkedKey(json.RawMessage(*jwk))
		return material{publicKey: key}, err
	}
	secret := NewClientSecret()
	keyID, mac := s.keys.CredentialVerifier(secret)
	return material{secret: secret, verifier: &domain.Verifier{KeyID: keyID, MAC: mac}}, nil
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
		CreatedAt:    timestampOf(credential.CreatedAt),
		ExpiresAt:    timestampOrNull(credential.ExpiresAt),
		RotatedAt:    timestampOrNull(credential.RotatedAt),
		RevokedAt:    timestampOrNull(credential.RevokedAt),
	}
	var jwk gen.PublicKeyJwk
	if credential.PublicKey != nil && json.Unmarshal(credential.PublicKey, &jwk) == nil {
		body.PublicKeyJwk = &jwk
	}
	return body
}

func (s *Server) shownCredentialBody(c readmodels.Credential) gen.Credential {
	c.Status = c.StatusAt(s.now())
	return credentialBody(c.AgentID, c.Credential)
}

func timeOf(t *timestamp.Milli) *time.Time {
	if t == nil {
		return nil
	}
	utc := t.UTC()
	return &utc
}
