package api

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/limits"
	"github.com/sentryagent/agentidp/domain"
)

// admission counts a token request once its client has authenticated.
type admission struct {
	server  *Server
	windows []limits.Window
	ctx     context.Context                // of the request: take runs on another goroutine, and maybe after it
	outcome atomic.Pointer[limits.Outcome] // nil: it did not come to that
}

func (s *Server) admission(c *gin.Context, client domain.AgentID) *admission {
	return &admission{server: s, windows: s.tokenWindow(client), ctx: c.Request.Context()}
}

// take is asked by the ledger, see [ledger.Ledger.IssueToken].
func (a *admission) take(organization domain.OrganizationID) error {
	outcome, err := a.server.quota.take(a.ctx, organization, a.windows)
	if err != nil && !errors.Is(err, &domain.Error{Code: domain.CodeTierLimit}) {
		return err
	}
	a.outcome.Store(&outcome)
	if outcome.FullWindow >= 0 {
		return a.server.tooFast(scopeToken, a.windows[outcome.FullWindow], outcome.Windows[outcome.FullWindow])
	}
	return err
}

// close says on the answer how the client stands, and counts a request of an
// authenticated client that was refused before it came to the count.
func (a *admission) close(c *gin.Context, err error) error {
	outcome := a.outcome.Load()
	var refusal *domain.Error
	switch {
	case outcome != nil:
		c.Set(admittedKey, true)
		for i, window := range a.windows {
			announce(c, window, outcome.Windows[i])
		}
	case errors.As(err, &refusal) && isCallersFault(err):
		c.Set(admittedKey, true)
		if tooMany := a.server.take(c, scopeToken, a.windows); tooMany != nil {
			return tooMany
		}
	}
	return err
}
