package ledgerlog

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
func (h *Handler) serveTile(c *gin.Context) error {
	const prefix = "/ledger/"
	tile, err := transparency.ParseTilePath(strings.TrimPrefix(c.Request.URL.Path, prefix))
	if err != nil {
		return domain.Refuse(domain.CodeNotFound, "this is not the path of a tile (C2SP tlog-tiles)")
	}
	content, err := h.Logs.Tile(c.Request.Context(), transparency.Whole, tile)
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
