package audit

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/timestamp"
	"github.com/sentryagent/agentidp/api/turns"
	"github.com/sentryagent/agentidp/api/wire"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

func (h *Handler) listAuditEvents(c *gin.Context) error {
	organization, err := access.NamedOrganization(c, h.Ledger)
	if err != nil {
		return err
	}
	filter, err := h.auditFilter(c, organization)
	if err != nil {
		return err
	}
	tenant := readmodels.InOrganization(organization)
	if c.Query("organizationId") == "" && filter.NamesAnAgent() {
		// An agent says where to look: the operator need not name its organization.
		tenant = access.Tenant(c)
	}
	events, err := turns.In(c, h.Trail, func(ctx context.Context) (readmodels.AuditList, error) {
		return h.Queries.AuditEvents(ctx, tenant, filter)
	})
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, gen.AuditEventList{
		Data: wire.Mapped(events.Items, auditBody), Total: int64(events.Total), Page: filter.Page.Number, Limit: filter.Page.Limit,
		NextCursor: wire.TextOrNull(events.NextCursor),
	})
	return nil
}

func (h *Handler) auditFilter(c *gin.Context, organization domain.OrganizationID) (readmodels.AuditFilter, error) {
	filter := readmodels.AuditFilter{
		Action:  domain.Type(c.Query("action")),
		Outcome: domain.AuditOutcome(c.Query("outcome")),
		Page:    wire.PageOf(c),
		Cursor:  c.Query("cursor"),
	}
	var err error
	if filter.AgentID, err = wire.AgentID(c, "agentId"); err != nil {
		return filter, err
	}
	if filter.OnBehalfOf, err = wire.AgentID(c, "onBehalfOf"); err != nil {
		return filter, err
	}
	switch actor := c.Query("actor"); actor {
	case "agent", "trust_policy", "system", "anonymous":
		filter.ActorKind = actor
	default:
		if filter.Actor, err = wire.AgentID(c, "actor"); err != nil {
			return filter, domain.Invalid("actor", "must be an agent's id, or a kind of actor", []string{"agent", "trust_policy", "system", "anonymous"})
		}
	}
	if filter.From, filter.To, err = dates(c); err != nil {
		return filter, err
	}
	if filter.Cursor != "" && c.Query("page") != "" {
		return filter, domain.Invalid("page", "does not go together with cursor", nil)
	}
	filter.NotBefore, err = h.retention(c, organization)
	return filter, err
}

// retention is how far back the query API shows; the ledger keeps everything.
func (h *Handler) retention(c *gin.Context, id domain.OrganizationID) (time.Time, error) {
	days := h.RetentionDays
	if days == 0 {
		organization, err := h.Ledger.Organization(c.Request.Context(), id)
		if err != nil {
			return time.Time{}, err
		}
		days = organization.Limits().RetentionDays
	}
	if days == domain.Unlimited {
		return time.Time{}, nil
	}
	return h.Now().AddDate(0, 0, -days), nil
}

func (h *Handler) getAuditEvent(c *gin.Context) error {
	event, err := h.Event(c)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, auditBody(event))
	return nil
}

// Event is the event in the path, if the caller may see it.
func (h *Handler) Event(c *gin.Context) (readmodels.AuditEvent, error) {
	id, err := uuid.Parse(c.Param("eventId"))
	if err != nil {
		return readmodels.AuditEvent{}, domain.Invalid("eventId", "must be a UUID", nil)
	}
	notBefore, err := h.retention(c, access.Caller(c).OrganizationID)
	if err != nil {
		return readmodels.AuditEvent{}, err
	}
	event, err := turns.In(c, h.Trail, func(ctx context.Context) (readmodels.AuditEvent, error) {
		return h.Queries.AuditEvent(ctx, access.Tenant(c), id)
	})
	switch {
	case err != nil:
		return event, access.NotVisible(c, err, "event", domain.CodeNotFound)
	case event.Timestamp.Before(notBefore):
		return event, domain.Refuse(domain.CodeNotFound, "the event is older than your tier shows; the ledger keeps it").With("notBefore", notBefore)
	}
	return event, nil
}

// dates reads fromDate and toDate.
func dates(c *gin.Context) (from, to time.Time, err error) {
	if from, err = date(c, "fromDate"); err != nil {
		return from, to, err
	}
	if to, err = date(c, "toDate"); err != nil {
		return from, to, err
	}
	if !from.IsZero() && !to.IsZero() && to.Before(from) {
		return from, to, domain.Invalid("toDate", "must not be before fromDate", nil)
	}
	return from, to, nil
}

func date(c *gin.Context, name string) (time.Time, error) {
	text := c.Query(name)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(text))
	if err != nil {
		return t, domain.Invalid(name, "must be a time such as 2026-11-23T07:21:00Z (RFC 3339)", nil)
	}
	return t.UTC(), nil
}

func dateOrAbsent(t time.Time) *timestamp.Milli {
	if t.IsZero() {
		return nil
	}
	date := timestamp.Of(t)
	return &date
}

func auditBody(e readmodels.AuditEvent) gen.AuditEvent {
	return gen.AuditEvent{
		EventID:        e.EventID,
		Timestamp:      wire.Time(e.Timestamp),
		Action:         string(e.Action),
		Outcome:        gen.AuditOutcome(e.Outcome),
		AgentID:        wire.IDOrNull(e.AgentID.UUID),
		OrganizationID: wire.IDOrNull(e.OrganizationID.UUID),
		Actor:          gen.AuditActor{Kind: gen.AuditActorKind(e.Actor.Kind), ID: e.Actor.ID},
		OnBehalfOf:     wire.IDOrNull(e.OnBehalfOf.UUID),
		Delegation:     wire.IDOrNull(e.Delegation.UUID),
		Causation:      wire.IDOrNull(e.Causation),
		IPAddress:      wire.TextOrNull(e.Request.IP),
		UserAgent:      wire.TextOrNull(e.Request.Agent),
		RequestID:      wire.TextOrNull(e.Request.ID),
		Stream:         e.Stream,
		Revision:       e.Revision,
		Position:       int64(e.Position),
		PreviousHash:   e.PreviousHash.String(),
		Hash:           e.Hash.String(),
		Metadata:       e.Metadata,
	}
}
