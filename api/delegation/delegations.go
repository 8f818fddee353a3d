package delegation

import (
	"context"
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/oapi-codegen/nullable"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/idempotency"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/api/wire"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/tokens"
)

func (h *Handler) createDelegation(c *gin.Context) error {
	body, err := wire.Decode[gen.DelegationCreate](c)
	if err != nil {
		return err
	}
	outcome, err := h.Ledger.CreateDelegation(c.Request.Context(), access.Origin(c), domain.CreateDelegation{
		Caller:       access.Caller(c),
		DelegationID: domain.DelegationID{UUID: idempotency.NewID(c)},
		DelegateeID:  domain.AgentID{UUID: body.DelegateeAgentID},
		Scopes:       wire.ScopesOf(body.Scopes),
		TTLSeconds:   body.TTLSeconds,
		MaxDepth:     wire.ValueOf(body.MaxDepth),
		At:           h.Now(),
	}, func(ctx context.Context) (bool, error) {
		err := h.Guard.MustBeAlive(ctx, access.Token(c))
		if errors.Is(err, access.ErrRevoked) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return err
	}
	h.Counters.created.Inc()
	router.Answer(c, http.StatusCreated, outcome.Position, h.delegationBody(outcome.State))
	return nil
}

func (h *Handler) revokeDelegation(c *gin.Context) error {
	id, err := domain.ParseDelegationID(c.Param("chainId"))
	if err != nil {
		return err
	}
	outcome, err := h.Ledger.RevokeDelegation(c.Request.Context(), access.Origin(c), id,
		domain.RevokeDelegation{Caller: access.Caller(c), Reason: "revoked by request"})
	if err != nil {
		return err
	}
	if len(outcome.Events) > 0 {
		h.Counters.Revoked()
	}
	router.Answer(c, http.StatusNoContent, outcome.Position, nil)
	return nil
}

// verifyDelegation tells an agent whether a delegation token can be used. What
// is said of a genuine token of the caller's organization are the facts, also
// when it has ended; all others are answered alike: tampered with, of another
// organization, or of nobody.
func (h *Handler) verifyDelegation(c *gin.Context) error {
	body, err := wire.Decode[gen.DelegationVerify](c)
	if err != nil {
		return err
	}
	id, genuine := tokens.ReadDelegation(h.Keys, body.DelegationToken)
	known := h.Revocations.Latest() // the bearer token was checked by it
	verdict := known.CheckDelegation(id, known.Position())
	delegation, err := h.Ledger.Delegation(c.Request.Context(), id)
	if err != nil {
		return err
	}
	h.Counters.verified.Inc()
	if !genuine || !delegation.Exists() || access.Caller(c).MayActIn(delegation.OrganizationID) != nil {
		delegation, verdict = domain.Delegation{}, revocation.DelegationEnded
	}
	if verdict == revocation.DelegationEnded && delegation.Exists() && delegation.RevokedAt.IsZero() {
		// It expired, or something that it rests on ended: that is on other streams.
		listed, err := h.Queries.Delegation(c.Request.Context(), readmodels.InOrganization(delegation.OrganizationID), id, h.Now())
		if err != nil {
			return err
		}
		delegation.RevokedAt = listed.EndedAt
	}
	c.JSON(http.StatusOK, verificationBody(delegation, verdict == revocation.Alive))
	return nil
}

// delegationBody is the one answer that holds the token.
func (h *Handler) delegationBody(d domain.Delegation) gen.Delegation {
	token, signature := tokens.Delegation(h.Keys, d.ID)
	return gen.Delegation{
		ChainID:          d.ID.UUID,
		TenantID:         d.OrganizationID.UUID,
		DelegatorAgentID: d.DelegatorID.UUID,
		DelegateeAgentID: d.DelegateeID.UUID,
		Scopes:           wire.Scopes(d.Scopes),
		DelegationToken:  token,
		Signature:        signature,
		TTLSeconds:       d.TTLSeconds,
		MaxDepth:         d.MaxDepth,
		Depth:            d.Depth,
		ParentChainID:    wire.IDOrNull(d.ParentID.UUID),
		IssuedAt:         wire.Time(d.IssuedAt()),
		ExpiresAt:        wire.Time(d.ExpiresAt),
		RevokedAt:        wire.TimeOrNull(d.RevokedAt),
		CreatedAt:        wire.Time(d.CreatedAt),
	}
}

// verificationBody has the same members whatever the answer; for the zero
// Delegation all but one of them are null.
func verificationBody(d domain.Delegation, valid bool) gen.DelegationVerification {
	body := gen.DelegationVerification{
		Valid:            valid,
		ChainID:          wire.IDOrNull(d.ID.UUID),
		DelegatorAgentID: wire.IDOrNull(d.DelegatorID.UUID),
		DelegateeAgentID: wire.IDOrNull(d.DelegateeID.UUID),
		Scopes:           nullable.NewNullNullable[[]gen.Scope](),
		IssuedAt:         wire.TimeOrNull(d.IssuedAt()),
		ExpiresAt:        wire.TimeOrNull(d.ExpiresAt),
		RevokedAt:        wire.TimeOrNull(d.RevokedAt),
	}
	if d.Exists() {
		body.Scopes = nullable.NewNullableWithValue(wire.Scopes(d.Scopes))
	}
	return body
}
