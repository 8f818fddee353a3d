package clientauth

import (
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/limits"
	"github.com/sentryagent/agentidp/api/quota"
	"github.com/sentryagent/agentidp/domain"
)

// How often authentication may fail before attempts are refused unseen. Client
// secrets are 256 random bits: nobody guesses one. What is kept small is the
// work and the noise that trying makes, and it is kept small without a way to
// lock somebody else out: a client is refused only where it has failed itself.
// A neighbour behind the same address who fails as other clients, or an attacker
// elsewhere, cannot take a client's way in, however often they fail. A neighbour
// who names the client can, from their common address and for a minute.
const (
	failuresHere      = 10  // of one client from one address
	failuresOfClient  = 20  // from wherever: then one failure here is enough
	failuresOfAddress = 100 // for whatever clients: from there on each failure is answered by 429, once it is seen to be one
	failureWindow     = time.Minute
)

// attempts is how many authentications have failed in the last minute. Where
// the client is not known the address stands for it.
type attempts struct {
	here      int // of this client from this address
	ofClient  int
	ofAddress int // known only when a failure is counted
}

// refused: an attempt is not even looked at.
func (a attempts) refused() bool {
	return a.here >= failuresHere || a.ofClient >= failuresOfClient && a.here > 0
}

// mayAuthenticate refuses an attempt to authenticate before its secret is
// looked at, when too many have failed.
func (cs *Clients) mayAuthenticate(c *gin.Context) error {
	failed, windows, outcome, err := cs.failures(c, claimedClient(c), true)
	if err != nil || !failed.refused() {
		return err
	}
	return cs.tooManyFailures(c, windows[0], outcome.Windows[0])
}

// countFailure counts a failed attempt. The error is a refusal when there were
// too many before it already: others at the same moment came first, or the
// address has failed for many clients.
func (cs *Clients) countFailure(c *gin.Context) error {
	failed, windows, outcome, err := cs.failures(c, claimedClient(c), false)
	if err != nil || len(windows) == 0 {
		return err
	}
	failed.here--
	failed.ofClient--
	failed.ofAddress--
	if failed.refused() || failed.ofAddress >= failuresOfAddress {
		return cs.tooManyFailures(c, windows[0], outcome.Windows[0])
	}
	quota.MarkCounted(c)
	quota.Announce(c, shownFailures(windows[0]), outcome.Windows[0])
	return nil
}

func (cs *Clients) tooManyFailures(c *gin.Context, window limits.Window, state limits.State) error {
	quota.MarkCounted(c)
	state.Count = max(state.Count, failuresHere)
	quota.Announce(c, shownFailures(window), state)
	return cs.rates.TooFast(quota.Authentication, shownFailures(window), state)
}

func shownFailures(window limits.Window) limits.Window {
	window.Max = failuresHere
	return window
}

// failures looks at, or counts, failed attempts from this address for a client.
// An address is not looked at where a client is named, only counted.
func (cs *Clients) failures(c *gin.Context, client domain.AgentID, look bool) (failed attempts, windows []limits.Window, outcome limits.Outcome, err error) {
	address := quota.Address(c)
	keys := []string{"rate:failures:address:" + address}
	if named := []string{
		"rate:failures:here:" + client.String() + ":" + address,
		"rate:failures:client:" + client.String(),
	}; !client.IsZero() && look {
		keys = named
	} else if !client.IsZero() {
		keys = append(named, keys...)
	}
	for _, key := range keys {
		windows = append(windows, cs.rates.Window(key, limits.Unbounded, failureWindow)...)
	}
	if len(windows) == 0 {
		return failed, nil, outcome, nil
	}
	outcome, err = cs.limiter.Take(c.Request.Context(), limits.Demand{Windows: windows, Look: look})
	if err != nil {
		return failed, windows, outcome, err
	}
	failed.here = outcome.Windows[0].Count
	if !client.IsZero() {
		failed.ofClient = outcome.Windows[1].Count
	}
	failed.ofAddress = outcome.Windows[len(windows)-1].Count
	return failed, windows, outcome, nil
}

// claimedClient is who the request says it comes from, zero when it does not
// say so in a way that could be true.
func claimedClient(c *gin.Context) domain.AgentID {
	form := c.Request.PostForm
	claimed := form.Get("client_id")
	if basic, _, given := access.ReadAuthorization(c.Request).Userinfo(); given {
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
