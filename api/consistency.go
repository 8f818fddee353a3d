package api

import (
	"context"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// upToDate refuses what may read tables of an older version than this server
// reads, which are being rebuilt.
func (s *Server) upToDate(c *gin.Context) error {
	if outdated := s.progress.Outdated(); len(outdated) > 0 {
		return &projections.BehindError{Projection: outdated[0]}
	}
	return nil
}

// atLeast makes a read wait, within bounds, for the place in the ledger that
// the caller names in X-Ledger-Position or minPosition.
func (s *Server) atLeast(c *gin.Context) error {
	var position uint64 // the greater one counts
	for _, wanted := range []string{c.Query("minPosition"), c.GetHeader(router.HeaderPosition)} {
		if wanted == "" {
			continue
		}
		named, err := strconv.ParseUint(wanted, 10, 64)
		if err != nil {
			return domain.Invalid("minPosition", "must be a position that X-Ledger-Position gave", nil)
		}
		position = max(position, named)
	}
	if position == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), s.options.ReadWait)
	defer cancel()
	return s.progress.Wait(ctx, ledger.Position(position))
}

// atHead makes a read of the audit trail wait for everything that was in the
// ledger when the read came in: the caller's token was looked up in all of it.
func (s *Server) atHead(c *gin.Context) error {
	ctx, cancel := context.WithTimeout(c.Request.Context(), s.options.ReadWait)
	defer cancel()
	return s.progress.WaitFor(ctx, s.revocations.Latest().Position(), readmodels.AuditTrail)
}
