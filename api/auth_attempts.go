package api

import (
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/limits"
	"github.com/sentryagent/agentidp/domain"
)

// How often authentication may fail before attempts are refused unseen. Client
// secrets are 256 random bits: nobody guesses one. What is kept small is the
// work and the noise that trying makes, and it is kept small without a way to
// lock somebody else out:
//
//   - an address that has failed often may go on for clients that have not
//     failed, so a neighbour with a wrong secret stops nobody but itself;
//   - a client that others fail for is refused to addresses that have failed,
//     so it still gets in from its own.
const (
	failuresOfAddress = 10
	failuresOfClient  = 20
	failuresForGood   = 100 // of an address: from there on whatever it tries
	failureWindow     = time.Minute
)

// attempts is how many authentications have failed in the last minute.
type attempts struct{ ofAddress, ofClient int }

func (a attempts) tooMany() bool {
	return a.ofAddress >= failuresForGood ||
		a.ofAddress >= failuresOfAddress && a.ofClient > 0 ||
		a.ofClient >= failuresOfClient && a.ofAddress > 0
}

// mayAuthenticate refuses an attempt to authenticate before its secret is
// looked at, when too many have failed.
func (s *Server) mayAuthenticate(c *gin.Context) error {
	failed, windows, outcome, err := s.failures(c, claimedClient(c), true)
	if err != nil || !failed.tooMany() {
		return err
	}
	return s.tooManyFailures(c, windows[0], outcome.Windows[0])
}

// countFailure counts a failed attempt. The error is a refusal when there were
// too many before it already: others at the same moment came first.
func (s *Server) countFailure(c *gin.Context) error {
	failed, windows, outcome, err := s.failures(c, claimedClient(c), false)
	if err != nil || len(windows) == 0 {
		return err
	}
	failed.ofAddress--
	failed.ofClient--
	if failed.tooMany() {
		return s.tooManyFailures(c, windows[0], outcome.Windows[0])
	}
	c.Set(admittedKey, true)
	announce(c, shownFailures(windows[0]), outcome.Windows[0])
	return nil
}

func (s *Server) tooManyFailures(c *gin.Context, window limits.Window, state limits.State) error {
	c.Set(admittedKey, true)
	state.Count = max(state.Count, failuresOfAddress)
	announce(c, shownFailures(window), state)
	return s.tooFast(scopeAuthentication, shownFailures(window), state)
}

func shownFailures(window limits.Window) limits.Window {
	window.Max = failuresOfAddress
	return window
}

// failures looks at, or counts, failed attempts from this address for a client.
// Where the client is not known the address stands for it.
func (s *Server) failures(c *gin.Context, client domain.AgentID, look bool) (failed attempts, windows []limits.Window, outcome limits.Outcome, err error) {
	windows = s.window("rate:failures:address:"+addressOf(c), limits.Unbounded, failureWindow)
	if len(windows) == 0 {
		return failed, nil, outcome, nil
	}
	if !client.IsZero() {
		windows = append(windows, s.window("rate:failures:client:"+client.String(), limits.Unbounded, failureWindow)...)
	}
	outcome, err = s.limiter.Take(c.Request.Context(), limits.Demand{Windows: windows, Look: look})
	if err != nil {
		return failed, windows, outcome, err
	}
	failed.ofAddress = outcome.Windows[0].Count
	failed.ofClient = outcome.Windows[len(windows)-1].Count
	return failed, windows, outcome, nil
}

// claimedClient is who the request says it comes from, zero when it does not
// say so in a way that could be true.
func claimedClient(c *gin.Context) domain.AgentID {
	form := c.Request.PostForm
	claimed := form.Get("client_id")
	if basic, _, given := readAuthorization(c.Request).basic(); given {
		claimed, _ = url.QueryUnescape(basic)
	} else if form.Has("client_assertion") {
		claimed = claimedSubject(form.Get("client_assertion"))
	}
	id, err := domain.ParseAgentID(claimed)
	if err != nil {
		return domain.AgentID{}
	}
	return id
}
