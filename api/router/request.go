package router

import (
	"net/http"
	"net/netip"
	"regexp"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/ledger"
)

const (
	headerRequestID = "X-Request-Id"

	// HeaderPosition is a place in the ledger: of what a command did, or that a
	// read must have.
	HeaderPosition = "X-Ledger-Position"

	requestKey = "request"
)

// request is what the router knows of a request from its beginning.
type request struct {
	id      string
	proxies []netip.Prefix // trusted
}

// saneRequestID is what is taken over from a caller: short and harmless in a log.
var saneRequestID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$`)

// begin gives every request an id and every response the header.
func (r *Router) begin(c *gin.Context) {
	id := c.GetHeader(headerRequestID)
	if !saneRequestID.MatchString(id) {
		id = uuid.NewString()
	}
	c.Set(requestKey, &request{id: id, proxies: r.options.TrustedProxies})
	c.Header(headerRequestID, id)
}

func begun(c *gin.Context) *request {
	if known, ok := c.Value(requestKey).(*request); ok {
		return known
	}
	return &request{} // did not come by the router
}

// RequestID is the id that the answer to this request carries.
func RequestID(c *gin.Context) string { return begun(c).id }

// CallerAddress is where a request comes from.
func CallerAddress(c *gin.Context) Address { return addressOf(c.Request, begun(c).proxies) }

// Record is what the ledger keeps of how a command came in.
func Record(c *gin.Context) ledger.Request {
	const maxUserAgent = 256
	agent := []rune(c.Request.UserAgent())
	address := ""
	if from := CallerAddress(c); from.IsValid() {
		address = from.String()
	}
	return ledger.Request{ID: RequestID(c), IP: address, Agent: string(agent[:min(len(agent), maxUserAgent)])}
}

// Answer sends the new state after a command, with the place in the ledger
// from which on it can be read.
func Answer(c *gin.Context, status int, position ledger.Position, body any) {
	c.Header(HeaderPosition, strconv.FormatUint(uint64(position), 10))
	if status == http.StatusNoContent {
		c.Status(status)
		c.Writer.WriteHeaderNow()
		return
	}
	c.JSON(status, body)
}
