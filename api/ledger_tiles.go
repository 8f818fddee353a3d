package api

import (
	"errors"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// serveTile answers a tile of the whole ledger's log (C2SP tlog-tiles). A tile
// never changes, a partial one neither: a wider one is another.
func (s *Server) serveTile(c *gin.Context) error {
	const prefix = "/ledger/"
	tile, err := transparency.ParseTilePath(strings.TrimPrefix(c.Request.URL.Path, prefix))
	if err != nil {
		return domain.Refuse(domain.CodeNotFound, "this is not the path of a tile (C2SP tlog-tiles)")
	}
	content, err := s.logs.Tile(c.Request.Context(), transparency.Whole, tile)
	if errors.Is(err, transparency.ErrNotLogged) {
		err = domain.Refuse(domain.CodeNotFound, "the log has no such tile, or not yet in this width")
	}
	if err != nil {
		return err
	}
	c.Header("Access-Control-Allow-Origin", "*")
	c.Data(http.StatusOK, "application/octet-stream", content)
	return nil
}

// ledgerRoutes serve the logs that prove the ledger.
func (s *Server) ledgerRoutes() []router.Route {
	routes := []router.Route{
		{Method: http.MethodGet, Path: "/api/v1/ledger/checkpoint", Access: router.Open, Limit: router.LogReads, Handler: s.getCheckpoint},
		{Method: http.MethodPost, Path: "/api/v1/ledger/checkpoint/cosignatures", Access: router.Open, Limit: router.LogReads, Handler: s.addCosignature},
		{Method: http.MethodGet, Path: "/api/v1/ledger/consistency", Access: router.Open, Limit: router.LogReads, Handler: s.getConsistency},
		{Method: http.MethodGet, Path: "/api/v1/organizations/{orgId}/checkpoint", Handler: s.getOrganizationCheckpoint},
		{Method: http.MethodGet, Path: "/api/v1/organizations/{orgId}/consistency", Handler: s.getOrganizationConsistency},
		{Method: http.MethodGet, Path: "/api/v1/audit/{eventId}/proof", Read: router.AtHead, Handler: s.proveEvent},
		{Method: http.MethodGet, Path: "/ledger/checkpoint", Access: router.Open, Cache: "public, max-age=5", Limit: router.LogReads, Handler: s.serveCheckpoint},
	}
	// Large numbers are folders: x001/x234/067, and a partial tile 067.p/5.
	path := "/ledger/tile/{level}"
	for _, part := range []string{"/{part1}", "/{part2}", "/{part3}", "/{part4}", "/{part5}"} {
		path += part
		routes = append(routes, router.Route{Method: http.MethodGet, Path: path, Access: router.Open, Cache: "public, max-age=31536000, immutable", Limit: router.LogReads, Handler: s.serveTile})
	}
	return routes
}
