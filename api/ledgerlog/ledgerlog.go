// Package ledgerlog is the room of the signed logs that prove the ledger to those who
// trust nobody: checkpoints, proofs, tiles. Start with [Handler.Routes].
package ledgerlog

import (
	"log/slog"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/consistency"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// Handler answers what is asked about the logs.
type Handler struct {
	Ledger    *ledger.Ledger
	Logs      *transparency.Logs
	Signer    *transparency.Signer
	Witnesses *transparency.Witnesses
	Reads     *consistency.Reads
	// Event is the event of the audit trail that a path names, if the caller may see it.
	Event  func(*gin.Context) (readmodels.AuditEvent, error)
	Logger *slog.Logger
}

// Routes serve the logs that prove the ledger.
func (h *Handler) Routes() []router.Route {
	routes := []router.Route{
		{Method: http.MethodGet, Path: "/api/v1/ledger/checkpoint", Access: router.Open, Limit: router.LogReads, Handler: h.getCheckpoint},
		{Method: http.MethodPost, Path: "/api/v1/ledger/checkpoint/cosignatures", Access: router.Open, Limit: router.LogReads, Handler: h.addCosignature},
		{Method: http.MethodGet, Path: "/api/v1/ledger/consistency", Access: router.Open, Limit: router.LogReads, Handler: h.getConsistency},
		{Method: http.MethodGet, Path: "/api/v1/organizations/{orgId}/checkpoint", Handler: h.getOrganizationCheckpoint},
		{Method: http.MethodGet, Path: "/api/v1/organizations/{orgId}/consistency", Handler: h.getOrganizationConsistency},
		{Method: http.MethodGet, Path: "/api/v1/audit/{eventId}/proof", Read: router.AtHead, Handler: h.proveEvent},
		{Method: http.MethodGet, Path: "/ledger/checkpoint", Access: router.Open, Cache: "public, max-age=5", Limit: router.LogReads, Handler: h.serveCheckpoint},
	}
	// Large numbers are folders: x001/x234/067, and a partial tile 067.p/5.
	path := "/ledger/tile/{level}"
	for _, part := range []string{"/{part1}", "/{part2}", "/{part3}", "/{part4}", "/{part5}"} {
		path += part
		routes = append(routes, router.Route{Method: http.MethodGet, Path: path, Access: router.Open, Cache: "public, max-age=31536000, immutable", Limit: router.LogReads, Handler: h.serveTile})
	}
	return routes
}
