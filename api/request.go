package api

import (
	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/tokens"
)

const (
	principalKey = "principal"
	bearerKey    = "bearer"
)

// principal is the verified caller.
func principal(c *gin.Context) domain.Caller {
	caller, _ := c.Value(principalKey).(domain.Caller)
	return caller
}

// bearerToken is the verified token that the request came with, zero when it
// came with none.
func bearerToken(c *gin.Context) tokens.Access {
	token, _ := c.Value(bearerKey).(*tokens.Access)
	return valueOf(token)
}

// issuanceOf is the event that issued the token that the request came with.
func issuanceOf(c *gin.Context) uuid.UUID {
	token, _ := c.Value(bearerKey).(*tokens.Access)
	if token == nil {
		return uuid.Nil
	}
	return token.Issuance
}

// origin says who caused the events of this request and how it came in.
func (s *Server) origin(c *gin.Context) ledger.Origin {
	actor := ledger.Actor{Kind: "anonymous"}
	if caller := principal(c); !caller.AgentID.IsZero() {
		actor = ledger.Actor{Kind: "agent", ID: caller.AgentID.String()}
	}
	return ledger.Origin{Actor: actor, Request: router.Record(c), Causation: issuanceOf(c)}
}
