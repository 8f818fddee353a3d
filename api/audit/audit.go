// Package audit is the room of what happened: the trail, who an agent was at a moment,
// and the proof that nothing was altered. Start with [Handler.Routes].
package audit

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/api/turns"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/replay/history"
)

// Handler answers what is asked about what happened.
type Handler struct {
	Ledger        *ledger.Ledger
	Queries       *readmodels.Queries
	Trail         *turns.Turns // of readers of the trail
	History       *history.History
	Readers       *turns.Turns // of history
	Verifications *turns.Verifications
	RetentionDays int // of the trail's queries; 0: as the tier says
	Logger        *slog.Logger
	Now           func() time.Time
}

// Routes are those of the audit trail.
func (h *Handler) Routes() []router.Route {
	return []router.Route{
		{Method: http.MethodGet, Path: "/api/v1/audit", Read: router.AtHead, Handler: h.listAuditEvents},
		{Method: http.MethodGet, Path: "/api/v1/audit/verify", Limit: router.Verifications, Handler: h.verifyAudit},
		{Method: http.MethodGet, Path: "/api/v1/audit/{eventId}", Read: router.AtHead, Handler: h.getAuditEvent},
		{Method: http.MethodGet, Path: "/api/v1/audit/state/{agentId}", Limit: router.States, Handler: h.getAgentState},
	}
}
