package federation

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/oapi-codegen/nullable"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/idempotency"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/api/timestamp"
	"github.com/sentryagent/agentidp/api/wire"
	"github.com/sentryagent/agentidp/domain"
)

func (h *Handler) registerPartner(c *gin.Context) error {
	body, err := wire.Decode[gen.FederationPartnerCreate](c)
	if err != nil {
		return err
	}
	command := domain.RegisterPartner{
		Caller:               access.Caller(c),
		PartnerID:            domain.PartnerID{UUID: idempotency.NewID(c)},
		Name:                 body.Name,
		Issuer:               body.Issuer,
		JWKSURI:              body.JwksURI,
		AllowedOrganizations: wire.ValueOf(body.AllowedOrganizations),
		ExpiresAt:            timeOf(body.ExpiresAt),
		Ours:                 h.Ours,
		At:                   h.Now(),
	}
	if err := command.Validate(); err != nil {
		return err
	}
	if err := h.checkKeys(c.Request.Context(), command.JWKSURI); err != nil {
		return err
	}
	outcome, err := h.Ledger.RegisterPartner(c.Request.Context(), access.Origin(c), command)
	if err != nil {
		return err
	}
	h.Events.record(outcome.Events...)
	c.Header("Location", c.Request.URL.Path+"/"+command.PartnerID.String())
	router.Answer(c, http.StatusCreated, outcome.Position, h.partnerBody(outcome.State))
	return nil
}

func (h *Handler) listPartners(c *gin.Context) error {
	page := wire.PageOf(c)
	partners, err := h.Queries.Partners(c.Request.Context(), access.Tenant(c), page)
	if err != nil {
		return err
	}
	wire.AnswerList(c, page, partners, h.partnerBody)
	return nil
}

func (h *Handler) getPartner(c *gin.Context) error {
	id, err := domain.ParsePartnerID(c.Param("partnerId"))
	if err != nil {
		return err
	}
	partner, err := h.Ledger.ReadPartner(c.Request.Context(), access.Caller(c), id)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, h.partnerBody(partner))
	return nil
}

func (h *Handler) updatePartner(c *gin.Context) error {
	id, err := domain.ParsePartnerID(c.Param("partnerId"))
	if err != nil {
		return err
	}
	body, err := wire.Decode[gen.FederationPartnerUpdate](c)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	command := domain.UpdatePartner{
		Caller:               access.Caller(c),
		Name:                 body.Name,
		JWKSURI:              body.JwksURI,
		AllowedOrganizations: body.AllowedOrganizations,
		Status:               (*domain.PartnerStatus)(body.Status),
		ExpiresAt:            expiryOf(body.ExpiresAt),
		At:                   h.Now(),
	}
	if command.JWKSURI != nil {
		if err := h.mayBe(ctx, id, command); err != nil {
			return err
		}
		if err := h.checkKeys(ctx, *command.JWKSURI); err != nil {
			return err
		}
	}
	return h.change(c, http.StatusOK, id, command)
}

// mayBe refuses what will be refused anyway, so that nothing is fetched for it.
func (h *Handler) mayBe(ctx context.Context, id domain.PartnerID, command domain.PartnerCommand) error {
	partner, err := h.Ledger.Partner(ctx, id)
	if err != nil {
		return err
	}
	_, err = partner.Decide(command)
	return err
}

func (h *Handler) deletePartner(c *gin.Context) error {
	id, err := domain.ParsePartnerID(c.Param("partnerId"))
	if err != nil {
		return err
	}
	return h.change(c, http.StatusNoContent, id, domain.DeletePartner{Caller: access.Caller(c)})
}

func (h *Handler) change(c *gin.Context, status int, id domain.PartnerID, command domain.PartnerCommand) error {
	outcome, err := h.Ledger.ChangePartner(c.Request.Context(), access.Origin(c), id, command)
	if err != nil {
		return err
	}
	h.Events.record(outcome.Events...)
	if status == http.StatusNoContent {
		router.Answer(c, status, outcome.Position, nil)
		return nil
	}
	router.Answer(c, status, outcome.Position, h.partnerBody(outcome.State))
	return nil
}

func (h *Handler) partnerBody(p domain.Partner) gen.FederationPartner {
	return gen.FederationPartner{
		PartnerID:            p.ID.UUID,
		Name:                 p.Name,
		Issuer:               p.Issuer,
		JwksURI:              p.JWKSURI,
		AllowedOrganizations: p.AllowedOrganizations,
		Status:               gen.FederationPartnerStatus(p.StatusAt(h.Now())),
		ExpiresAt:            wire.TimeOrNull(p.ExpiresAt),
		CreatedAt:            wire.Time(p.CreatedAt),
		UpdatedAt:            wire.Time(p.UpdatedAt),
	}
}

// timeOf is nil for a time that is absent or null.
func timeOf(n nullable.Nullable[timestamp.Milli]) *time.Time {
	value, err := n.Get()
	if err != nil {
		return nil
	}
	return &value.Time
}

// expiryOf is nil for a time that is absent; null is never.
func expiryOf(n nullable.Nullable[timestamp.Milli]) *domain.Expiry {
	if !n.IsSpecified() {
		return nil
	}
	return &domain.Expiry{Time: timeOf(n)}
}
