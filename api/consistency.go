package api

import (
	"context"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
)

// atLeast makes a read wait, within bounds, for the place in the ledger that
// the caller names in X-Ledger-Position or minPosition.
func (s *Server) atLeast(c *gin.Context) {
	wanted := c.Query("minPosition")
	if wanted == "" {
		wanted = c.GetHeader(headerPosition)
	}
	if wanted == "" {
		return
	}
	position, err := strconv.ParseUint(wanted, 10, 64)
	if err != nil {
		s.fail(c, domain.Invalid("minPosition", "must be a position that X-Ledger-Position gave", nil))
		return
	}
	if err := s.waitFor(c.Request.Context(), ledger.Position(position)); err != nil {
		s.fail(c, err)
	}
}

// atHead makes a read of the audit trail wait for everything that was in the
// ledger when the read came in.
func (s *Server) atHead(c *gin.Context) {
	head, err := s.ledger.Head(c.Request.Context())
	if err == nil {
		err = s.waitFor(c.Request.Context(), head)
	}
	if err != nil {
		s.fail(c, err)
	}
}

func (s *Server) waitFor(ctx context.Context, position ledger.Position) error {
	ctx, cancel := context.WithTimeout(ctx, s.options.ReadWait)
	defer cancel()
	return s.progress.WaitAll(ctx, position)
}
