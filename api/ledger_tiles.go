package api

import (
	"errors"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// serveTile answers a tile of the whole ledger's log (C2SP tlog-tiles). A tile
// never changes, a partial one neither: a wider one is another.
func (s *Server) serveTile(c *gin.Context) {
	const prefix = "/ledger/"
	tile, err := transparency.ParseTilePath(strings.TrimPrefix(c.Request.URL.Path, prefix))
	if err != nil {
		s.fail(c, domain.Refuse(domain.CodeNotFound, "this is not the path of a tile (C2SP tlog-tiles)"))
		return
	}
	content, err := s.logs.Tile(c.Request.Context(), transparency.Whole, tile)
	if errors.Is(err, transparency.ErrNotLogged) {
		err = domain.Refuse(domain.CodeNotFound, "the log has no such tile, or not yet in this width")
	}
	if err != nil {
		s.fail(c, err)
		return
	}
	c.Header("Cache-Control", "public, max-age=31536000, immutable")
	c.Header("Access-Control-Allow-Origin", "*")
	c.Data(http.StatusOK, "application/octet-stream", content)
}

// ledgerRoutes serve the logs that prove the ledger.
func (s *Server) ledgerRoutes() []route {
	public := []gin.HandlerFunc{s.limitFollower}
	routes := []route{
		{http.MethodGet, "/api/v1/ledger/checkpoint", public, s.getCheckpoint, true},
		{http.MethodPost, "/api/v1/ledger/checkpoint/cosignatures", public, s.addCosignature, true},
		{http.MethodGet, "/api/v1/ledger/consistency", public, s.getConsistency, true},
		{http.MethodGet, "/api/v1/organizations/{orgId}/checkpoint", nil, s.getOrganizationCheckpoint, false},
		{http.MethodGet, "/api/v1/organizations/{orgId}/consistency", nil, s.getOrganizationConsistency, false},
		{http.MethodGet, "/api/v1/audit/{eventId}/proof", []gin.HandlerFunc{s.atLeast, s.atHead}, s.proveEvent, false},
		{http.MethodGet, "/ledger/checkpoint", public, s.serveCheckpoint, true},
	}
	// Large numbers are folders: x001/x234/067, and a partial tile 067.p/5.
	path := "/ledger/tile/{level}"
	for _, part := range []string{"/{part1}", "/{part2}", "/{part3}", "/{part4}", "/{part5}"} {
		path += part
		routes = append(routes, route{http.MethodGet, path, public, s.serveTile, true})
	}
	return routes
}
