package api

import (
	"net/http"
	"regexp"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
)

const (
	headerRequestID = "X-Request-Id"
	headerPosition  = "X-Ledger-Position"

	requestIDKey = "requestID"
	principalKey = "principal"
	bearerKey    = "bearer"
)

// saneRequestID is what is taken over from a caller: short and harmless in a log.
var saneRequestID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$`)

// withRequestID gives every request an id and every response the header.
func withRequestID(c *gin.Context) {
	id := c.GetHeader(headerRequestID)
	if !saneRequestID.MatchString(id) {
		id = uuid.NewString()
	}
	c.Set(requestIDKey, id)
	c.Header(headerRequestID, id)
}

func requestID(c *gin.Context) string { return c.GetString(requestIDKey) }

// principal is the verified caller.
func principal(c *gin.Context) domain.Caller {
	caller, _ := c.Value(principalKey).(domain.Caller)
	return caller
}

// bearerToken is the verified token that the request came with, zero when it
// came with none.
func bearerToken(c *gin.Context) accessToken {
	token, _ := c.Value(bearerKey).(*accessToken)
	return valueOf(token)
}

// issuanceOf is the event that issued the token that the request came with.
func issuanceOf(c *gin.Context) uuid.UUID {
	token, _ := c.Value(bearerKey).(*accessToken)
	if token == nil {
		return uuid.Nil
	}
	return token.issuance
}

// origin says who caused the events of this request and how it came in.
func (s *Server) origin(c *gin.Context) ledger.Origin {
	actor := ledger.Actor{Kind: "anonymous"}
	if caller := principal(c); !caller.AgentID.IsZero() {
		actor = ledger.Actor{Kind: "agent", ID: caller.AgentID.String()}
	}
	return ledger.Origin{Actor: actor, Request: s.requestRecord(c), Causation: issuanceOf(c)}
}

func (s *Server) requestRecord(c *gin.Context) ledger.Request {
	const maxUserAgent = 256
	agent := []rune(c.Request.UserAgent())
	address := ""
	if from := s.callerOf(c.Request).address; from.IsValid() {
		address = from.String()
	}
	return ledger.Request{
		ID:    requestID(c),
		IP:    address,
		Agent: string(agent[:min(len(agent), maxUserAgent)]),
	}
}

// answer sends the new state after a command, with the place in the ledger
// from which on it can be read.
func answer(c *gin.Context, status int, position ledger.Position, body any) {
	c.Header(headerPosition, strconv.FormatUint(uint64(position), 10))
	if status == http.StatusNoContent {
		c.Status(status)
		c.Writer.WriteHeaderNow()
		return
	}
	c.JSON(status, body)
}
