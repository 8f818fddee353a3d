package did

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/idempotency"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/api/wire"
	"github.com/sentryagent/agentidp/domain"
)

// rotateKey has another key take the place of the one that an agent's DID has: one
// that the agent brings with proof that it has the private half, or a new one of ours.
func (h *Handler) rotateKey(c *gin.Context) error {
	id, err := domain.ParseAgentID(c.Param("agentId"))
	if err != nil {
		return err
	}
	body, err := wire.Decode[gen.DidKeyCreate](c)
	if err != nil {
		return err
	}
	command := domain.RotateDIDKey{Caller: access.Caller(c), DID: h.DID(id), Since: idempotency.Since(c)}
	if body.PublicKeyJwk != nil || body.Proof != nil {
		if command.PublicKey, err = h.provenKey(c, id, body); err != nil {
			return err
		}
	}
	outcome, err := h.Ledger.RotateDIDKey(c.Request.Context(), access.Origin(c), id, command)
	if err != nil {
		return err
	}
	key := outcome.State.Keys.Current
	router.Answer(c, http.StatusCreated, outcome.Position, gen.DidKey{
		KeyID: h.didOf(outcome.State) + key.Fragment(), PublicKeyJwk: key.PublicKey,
		Custody: gen.DidKeyCustody(key.Custody), CreatedAt: wire.Time(key.CreatedAt),
	})
	return nil
}

// provenKey is the key that the caller brings, in the form in which it is kept. A
// caller who may not change the agent learns that before its proof is used up.
func (h *Handler) provenKey(c *gin.Context, id domain.AgentID, body gen.DidKeyCreate) (json.RawMessage, error) {
	switch {
	case body.PublicKeyJwk == nil:
		return nil, domain.Invalid("publicKeyJwk", "is what proof is about, so it is needed with it", nil)
	case body.Proof == nil:
		return nil, domain.Invalid("proof", "is needed with publicKeyJwk: a JWT signed by that key, see /docs", nil)
	}
	key, err := h.publicKey(*body.PublicKeyJwk)
	if err != nil {
		return nil, err
	}
	ctx := c.Request.Context()
	agent, err := h.Ledger.Agent(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := access.Caller(c).MayReach(agent.Exists(), agent.OrganizationID, "agent", domain.CodeAgentNotFound); err != nil {
		return nil, err
	}
	p, err := readProof(*body.Proof, key, expected{subject: h.didOf(agent), audience: h.PublicURL, now: h.Now()})
	if err != nil {
		return nil, err
	}
	return key, h.useOnce(ctx, agent, key, p, idempotency.Again(c))
}

func (h *Handler) publicKey(jwk json.RawMessage) (json.RawMessage, error) {
	checked, err := h.CheckKey(jwk)
	if err != nil {
		return nil, err
	}
	return domain.NormalDIDKey(checked)
}

// useOnce refuses a proof that was used before, on any node. A request that may have
// been done already has used its own: then the agent has the key.
func (h *Handler) useOnce(ctx context.Context, agent domain.Agent, key json.RawMessage, p proof, again bool) error {
	first, err := h.Used.Use(ctx, agent.ID, "did key proof\x00"+p.id, p.expiresAt.Add(proofMargin))
	if err != nil || first {
		return err
	}
	if again && bytes.Equal(agent.Keys.Current.PublicKey, key) {
		return nil
	}
	return badProof("was used before: make a new one, with another jti")
}
