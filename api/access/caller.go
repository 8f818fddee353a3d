package access

import (
	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/tokens"
)

const sessionKey = "session"

// session is who calls, as a bearer token says.
type session struct {
	caller domain.Caller
	token  tokens.Access
}

func sessionOf(c *gin.Context) *session {
	if known, ok := c.Value(sessionKey).(*session); ok {
		return known
	}
	return &session{}
}

// Caller is the verified caller, zero when there is none.
func Caller(c *gin.Context) domain.Caller { return sessionOf(c).caller }

// Token is the verified token that the request came with, zero when it came with none.
func Token(c *gin.Context) tokens.Access { return sessionOf(c).token }

// Origin says who caused the events of this request and how it came in.
func Origin(c *gin.Context) ledger.Origin {
	from := sessionOf(c)
	actor := ledger.Actor{Kind: "anonymous"}
	if !from.caller.AgentID.IsZero() {
		actor = ledger.Actor{Kind: "agent", ID: from.caller.AgentID.String()}
	}
	return ledger.Origin{Actor: actor, Request: router.Record(c), Causation: from.token.Issuance}
}
