package quota

import (
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/limits"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
)

// Limit is how many requests a client may send in any window of time, and
// how many an address may send that nobody is verified for. The zero value
// limits nothing.
type Limit struct {
	Max    int
	Window time.Duration
}

const (
	// Verifying the ledger costs more than a read: it has a window of its own.
	maxVerifications   = 30
	verificationWindow = time.Minute

	// The controls are open to everybody, and an auditor's page may ask often.
	maxControlReads = 120
	controlsWindow  = time.Minute

	// Whoever follows the ledger's log without a token asks for many tiles.
	maxLogReads    = 3000
	logReadsWindow = time.Minute

	// Whoever checks signatures keeps the documents of those it deals with.
	maxDocuments    = 1200
	documentsWindow = time.Minute
)

// Rates count requests, and refuse those that are too many. It is safe for
// concurrent use.
type Rates struct {
	limit   Limit
	limiter *limits.Limiter
	tiers   *Tiers
	hits    *prometheus.CounterVec
}

// NewRates shares its counters with the tiers.
func NewRates(limiter *limits.Limiter, tiers *Tiers, limit Limit) *Rates {
	return &Rates{limit: limit, limiter: limiter, tiers: tiers, hits: tiers.hits}
}

// Steps are those of the limits that a route may ask for.
func (r *Rates) Steps() map[router.Limit]router.Step {
	return map[router.Limit]router.Step{
		router.Verifications: r.limitVerification,
		router.States:        r.limitStates,
		router.Controls:      r.limitControls,
		router.LogReads:      r.limitLogReads,
		router.Documents:     r.limitDocuments,
	}
}

const countedKey = "counted"

// MarkCounted says that a request has been counted for somebody.
func MarkCounted(c *gin.Context) { c.Set(countedKey, true) }

// AdmitCaller counts a request of the caller that its bearer token names.
func (r *Rates) AdmitCaller(c *gin.Context) error { return r.Admit(c, access.Caller(c)) }

// Admit counts a request of a verified caller: for the rate of its client and
// as one of its organization's API calls of the day, in one step. The error is
// the refusal of a request too many.
func (r *Rates) Admit(c *gin.Context, caller domain.Caller) error {
	MarkCounted(c)
	standing, _ := r.tiers.tenants.Latest().Standing(caller.OrganizationID)
	calls := r.tiers.calls(caller.OrganizationID, standing.Limits)
	windows := r.clientWindow(caller.AgentID)
	if len(windows) == 0 && calls.Max == limits.Unbounded {
		r.limiter.Count(calls)
		return nil
	}
	outcome, err := r.limiter.Take(c.Request.Context(), limits.Demand{Windows: windows, Counters: []limits.Counter{calls}})
	if err != nil {
		return err
	}
	for i, window := range windows {
		Announce(c, window, outcome.Windows[i])
	}
	switch {
	case outcome.FullWindow >= 0:
		return r.TooFast(Client, windows[outcome.FullWindow], outcome.Windows[outcome.FullWindow])
	case outcome.FullCounter >= 0:
		return r.tiers.usedUp(Calls, "made all the API calls of this day", standing.Tier, calls, outcome.Counts[0])
	}
	return nil
}

// clientWindow is none when there are no rate limits.
func (r *Rates) clientWindow(id domain.AgentID) []limits.Window {
	return r.Window("rate:client:"+id.String(), r.limit.Max, r.limit.Window)
}

// TokenWindow is apart from clientWindow: who has sent too many requests can
// still get the token for the next ones.
func (r *Rates) TokenWindow(id domain.AgentID) []limits.Window {
	return r.Window("rate:token:"+id.String(), r.limit.Max, r.limit.Window)
}

// Window is a window of its own for a key: none when there are no rate limits.
func (r *Rates) Window(key string, most int, span time.Duration) []limits.Window {
	if r.limit.Max == 0 {
		return nil
	}
	return []limits.Window{{Key: key, Max: most, Span: span}}
}

// limitVerification lets an organization verify its ledger 30 times a minute:
// more agents get it no more verifications. It is one of the client's as well.
func (r *Rates) limitVerification(c *gin.Context) error {
	key := "rate:verification:organization:" + access.Caller(c).OrganizationID.String()
	return r.limitReplay(c, r.Window(key, maxVerifications, verificationWindow)...)
}

// limitStates lets a client ask 30 times a minute who somebody was,
// verifications included.
func (r *Rates) limitStates(c *gin.Context) error { return r.limitReplay(c) }

func (r *Rates) limitReplay(c *gin.Context, also ...limits.Window) error {
	windows := r.Window("rate:verification:"+access.Caller(c).AgentID.String(), maxVerifications, verificationWindow)
	return r.Take(c, Verification, append(windows, also...))
}

// limitControls lets an address read the controls 120 times a minute.
func (r *Rates) limitControls(c *gin.Context) error {
	MarkCounted(c)
	return r.Take(c, Controls, r.Window("rate:controls:"+Address(c), maxControlReads, controlsWindow))
}

// limitLogReads lets an address ask for 3000 parts of the public log a minute.
func (r *Rates) limitLogReads(c *gin.Context) error {
	return r.Take(c, IPAddress, r.Window("rate:ledger:address:"+Address(c), maxLogReads, logReadsWindow))
}

// limitDocuments lets an address ask for 1200 DID documents and cards a minute.
func (r *Rates) limitDocuments(c *gin.Context) error {
	MarkCounted(c)
	return r.Take(c, IPAddress, r.Window("rate:documents:"+Address(c), maxDocuments, documentsWindow))
}

// Take counts a request in windows. The error is the refusal of a request too many.
func (r *Rates) Take(c *gin.Context, scope Scope, windows []limits.Window) error {
	if len(windows) == 0 {
		return nil
	}
	outcome, err := r.limiter.Take(c.Request.Context(), limits.Demand{Windows: windows})
	if err != nil {
		return err
	}
	if outcome.Passed() {
		Announce(c, windows[0], outcome.Windows[0])
		return nil
	}
	full := max(outcome.FullWindow, 0)
	Announce(c, windows[full], outcome.Windows[full])
	return r.TooFast(scope, windows[full], outcome.Windows[full])
}

// CountRefusal counts a request that is about to be refused although it has
// not been counted for anybody, and gives the error to refuse it with: the one
// it has, or that of a request too many. A caller that was verified but may not
// do this is counted as itself. Everybody else is counted by address: so an
// address can use up only its refusals, and never lock out the clients behind
// it that get things right.
func (r *Rates) CountRefusal(c *gin.Context, err error) error {
	if c.GetBool(countedKey) || !isLimited(c.FullPath()) || !IsCallersFault(err) {
		return err
	}
	var tooMany error
	if caller := access.Caller(c); !caller.AgentID.IsZero() {
		tooMany = r.Admit(c, caller)
	} else {
		MarkCounted(c)
		tooMany = r.Take(c, IPAddress, r.addressWindow(c))
	}
	if tooMany == nil {
		return err
	}
	c.Writer.Header().Del("WWW-Authenticate")
	return tooMany
}

func (r *Rates) addressWindow(c *gin.Context) []limits.Window {
	return r.Window("rate:address:"+Address(c), r.limit.Max, r.limit.Window)
}

// isLimited: health, metrics, metadata and documentation never are.
func isLimited(pattern string) bool {
	return strings.HasPrefix(pattern, "/api/") || strings.HasPrefix(pattern, "/oauth2/")
}

// IsCallersFault reports whether a request is refused for what it is.
func IsCallersFault(err error) bool {
	if refusal, ok := errors.AsType[*domain.Error](err); ok {
		return router.StatusOf(refusal.Code) < http.StatusTooManyRequests
	}
	return errors.As(err, new(*router.OAuthError))
}

// Address is what stands for a caller that is not known otherwise. Whoever
// has an IPv6 address has a /64 of them.
func Address(c *gin.Context) string {
	const ipv6Site = 64
	address := router.CallerAddress(c).Addr
	if !address.IsValid() {
		return "unknown"
	}
	if address.Is4() {
		return address.String()
	}
	return netip.PrefixFrom(address, ipv6Site).Masked().String()
}

// Announce says on the answer how a window stands.
func Announce(c *gin.Context, window limits.Window, state limits.State) {
	header := c.Writer.Header()
	header.Set("X-RateLimit-Limit", strconv.Itoa(window.Max))
	header.Set("X-RateLimit-Remaining", strconv.Itoa(max(0, window.Max-state.Count)))
	header.Set("X-RateLimit-Reset", strconv.FormatInt(router.CeilSeconds(time.Duration(state.Frees.UnixNano())), 10))
}

// TooFast refuses a request too many in a window.
func (r *Rates) TooFast(scope Scope, window limits.Window, state limits.State) error {
	r.hits.WithLabelValues(string(scope)).Inc()
	return domain.Refuse(router.CodeRateLimit, "too many requests; slow down").
		With("limit", window.Max).With("windowMs", window.Span.Milliseconds()).With(router.DetailResetAt, state.Frees.UTC())
}
