package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/oapi-codegen/nullable"

	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/tokens"
)

// delegationRoutes are none when delegation is switched off.
func (s *Server) delegationRoutes() []router.Route {
	if !s.options.Delegation {
		return nil
	}
	routes := []router.Route{{Method: http.MethodGet, Path: "/api/v1/delegations", Read: router.AtPosition, Handler: s.listDelegations}}
	for _, base := range []string{tokenPath, "/api/v1" + tokenPath} {
		routes = append(routes,
			router.Route{Method: http.MethodPost, Path: base + "/delegate", Repeat: router.OnceSecret, Handler: s.createDelegation},
			router.Route{Method: http.MethodDelete, Path: base + "/delegate/{chainId}", Handler: s.revokeDelegation},
			router.Route{Method: http.MethodPost, Path: base + "/verify-delegation", Handler: s.verifyDelegation},
		)
	}
	return routes
}

func (s *Server) createDelegation(c *gin.Context) error {
	body, err := decode[gen.DelegationCreate](c)
	if err != nil {
		return err
	}
	outcome, err := s.ledger.CreateDelegation(c.Request.Context(), s.origin(c), domain.CreateDelegation{
		Caller:       principal(c),
		DelegationID: domain.DelegationID{UUID: newID(c)},
		DelegateeID:  domain.AgentID{UUID: body.DelegateeAgentID},
		Scopes:       scopesOf(body.Scopes),
		TTLSeconds:   body.TTLSeconds,
		MaxDepth:     valueOf(body.MaxDepth),
		At:           s.now(),
	}, func(ctx context.Context) (bool, error) {
		err := s.mustBeAlive(ctx, bearerToken(c))
		if errors.Is(err, errRevoked) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return err
	}
	s.metrics.delegationsCreated.Inc()
	router.Answer(c, http.StatusCreated, outcome.Position, s.delegationBody(outcome.State))
	return nil
}

func (s *Server) revokeDelegation(c *gin.Context) error {
	id, err := domain.ParseDelegationID(c.Param("chainId"))
	if err != nil {
		return err
	}
	outcome, err := s.ledger.RevokeDelegation(c.Request.Context(), s.origin(c), id,
		domain.RevokeDelegation{Caller: principal(c), Reason: "revoked by request"})
	if err != nil {
		return err
	}
	if len(outcome.Events) > 0 {
		s.metrics.delegationsRevoked.Inc()
	}
	router.Answer(c, http.StatusNoContent, outcome.Position, nil)
	return nil
}

// verifyDelegation tells an agent whether a delegation token can be used. What
// is said of a genuine token of the caller's organization are the facts, also
// when it has ended; all others are answered alike: tampered with, of another
// organization, or of nobody.
func (s *Server) verifyDelegation(c *gin.Context) error {
	body, err := decode[gen.DelegationVerify](c)
	if err != nil {
		return err
	}
	id, genuine := tokens.ReadDelegation(s.keys, body.DelegationToken)
	known := s.revocations.Latest() // the bearer token was checked by it
	verdict := known.CheckDelegation(id, known.Position())
	delegation, err := s.ledger.Delegation(c.Request.Context(), id)
	if err != nil {
		return err
	}
	s.metrics.delegationsVerified.Inc()
	if !genuine || !delegation.Exists() || principal(c).MayActIn(delegation.OrganizationID) != nil {
		delegation, verdict = domain.Delegation{}, revocation.DelegationEnded
	}
	if verdict == revocation.DelegationEnded && delegation.Exists() && delegation.RevokedAt.IsZero() {
		// It expired, or something that it rests on ended: that is on other streams.
		listed, err := s.queries.Delegation(c.Request.Context(), readmodels.InOrganization(delegation.OrganizationID), id, s.now())
		if err != nil {
			return err
		}
		delegation.RevokedAt = listed.EndedAt
	}
	c.JSON(http.StatusOK, verificationBody(delegation, verdict == revocation.Alive))
	return nil
}

// delegationBody is the one answer that holds the token.
func (s *Server) delegationBody(d domain.Delegation) gen.Delegation {
	token, signature := tokens.Delegation(s.keys, d.ID)
	return gen.Delegation{
		ChainID:          d.ID.UUID,
		TenantID:         d.OrganizationID.UUID,
		DelegatorAgentID: d.DelegatorID.UUID,
		DelegateeAgentID: d.DelegateeID.UUID,
		Scopes:           genScopes(d.Scopes),
		DelegationToken:  token,
		Signature:        signature,
		TTLSeconds:       d.TTLSeconds,
		MaxDepth:         d.MaxDepth,
		Depth:            d.Depth,
		ParentChainID:    idOrNull(d.ParentID.UUID),
		IssuedAt:         timestampOf(d.IssuedAt()),
		ExpiresAt:        timestampOf(d.ExpiresAt),
		RevokedAt:        timestampOrNull(d.RevokedAt),
		CreatedAt:        timestampOf(d.CreatedAt),
	}
}

// verificationBody has the same members whatever the answer; for the zero
// Delegation all but one of them are null.
func verificationBody(d domain.Delegation, valid bool) gen.DelegationVerification {
	body := gen.DelegationVerification{
		Valid:            valid,
		ChainID:          idOrNull(d.ID.UUID),
		DelegatorAgentID: idOrNull(d.DelegatorID.UUID),
		DelegateeAgentID: idOrNull(d.DelegateeID.UUID),
		Scopes:           nullable.NewNullNullable[[]gen.Scope](),
		IssuedAt:         timestampOrNull(d.IssuedAt()),
		ExpiresAt:        timestampOrNull(d.ExpiresAt),
		RevokedAt:        timestampOrNull(d.RevokedAt),
	}
	if d.Exists() {
		body.Scopes = nullable.NewNullableWithValue(genScopes(d.Scopes))
	}
	return body
}
