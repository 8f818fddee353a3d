package api

import (
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/limits"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
)

// RateLimit is how many requests a client may send in any window of time, and
// how many an address may send that nobody is verified for. The zero value
// limits nothing.
type RateLimit struct {
	Max    int
	Window time.Duration
}

// Verifying the ledger costs more than a read: it has a window of its own.
const (
	maxVerifications   = 30
	verificationWindow = time.Minute
)

// The controls are open to everybody, and an auditor's page may ask often.
const (
	maxControlReads = 120
	controlsWindow  = time.Minute
)

// What was limited, as the metrics call it.
const (
	scopeClient         = "client"
	scopeAddress        = "address"
	scopeAuthentication = "authentication"
	scopeToken          = "token"
	scopeVerification   = "verification"
	scopeControls       = "controls"
	scopeCalls          = "tier_calls"
	scopeTokens         = "tier_tokens"
)

// admittedKey marks a request that has been counted for somebody.
const admittedKey = "admitted"

// limited counts the request of the caller that protect has verified, or ends
// it with 429.
func (s *Server) limited(c *gin.Context) error {
	return s.admit(c, principal(c))
}

// admit counts a request of a verified caller: for the rate of its client and
// as one of its organization's API calls of the day, in one step. The error is
// the refusal of a request too many.
func (s *Server) admit(c *gin.Context, caller domain.Caller) error {
	c.Set(admittedKey, true)
	standing, _ := s.revocations.Latest().Standing(caller.OrganizationID)
	calls := s.quota.calls(caller.OrganizationID, standing.Limits)
	windows := s.clientWindow(caller.AgentID)
	if len(windows) == 0 && calls.Max == limits.Unbounded {
		s.limiter.Count(calls)
		return nil
	}
	outcome, err := s.limiter.Take(c.Request.Context(), limits.Demand{Windows: windows, Counters: []limits.Counter{calls}})
	if err != nil {
		return err
	}
	for i, window := range windows {
		announce(c, window, outcome.Windows[i])
	}
	switch {
	case outcome.FullWindow >= 0:
		return s.tooFast(scopeClient, windows[outcome.FullWindow], outcome.Windows[outcome.FullWindow])
	case outcome.FullCounter >= 0:
		return usedUp(s.metrics, scopeCalls, "made all the API calls of this day", standing.Tier, calls, outcome.Counts[0])
	}
	return nil
}

// clientWindow is none when there are no rate limits.
func (s *Server) clientWindow(id domain.AgentID) []limits.Window {
	return s.window("rate:client:"+id.String(), s.options.RateLimit.Max, s.options.RateLimit.Window)
}

// tokenWindow is apart from clientWindow: who has sent too many requests can
// still get the token for the next ones.
func (s *Server) tokenWindow(id domain.AgentID) []limits.Window {
	return s.window("rate:token:"+id.String(), s.options.RateLimit.Max, s.options.RateLimit.Window)
}

func (s *Server) window(key string, most int, span time.Duration) []limits.Window {
	if s.options.RateLimit.Max == 0 {
		return nil
	}
	return []limits.Window{{Key: key, Max: most, Span: span}}
}

// limitVerification lets an organization verify its ledger 30 times a minute:
// more agents get it no more verifications. It is one of the client's as well.
func (s *Server) limitVerification(c *gin.Context) error {
	key := "rate:verification:organization:" + principal(c).OrganizationID.String()
	return s.limitReplay(c, s.window(key, maxVerifications, verificationWindow)...)
}

// limitStates lets a client ask 30 times a minute who somebody was,
// verifications included.
func (s *Server) limitStates(c *gin.Context) error { return s.limitReplay(c) }

func (s *Server) limitReplay(c *gin.Context, also ...limits.Window) error {
	windows := s.window("rate:verification:"+principal(c).AgentID.String(), maxVerifications, verificationWindow)
	return s.take(c, scopeVerification, append(windows, also...))
}

// limitControls lets an address read the controls 120 times a minute.
func (s *Server) limitControls(c *gin.Context) error {
	c.Set(admittedKey, true)
	return s.take(c, scopeControls, s.window("rate:controls:"+s.addressOf(c), maxControlReads, controlsWindow))
}

func (s *Server) take(c *gin.Context, scope string, windows []limits.Window) error {
	if len(windows) == 0 {
		return nil
	}
	outcome, err := s.limiter.Take(c.Request.Context(), limits.Demand{Windows: windows})
	if err != nil {
		return err
	}
	if outcome.Passed() {
		announce(c, windows[0], outcome.Windows[0])
		return nil
	}
	full := max(outcome.FullWindow, 0)
	announce(c, windows[full], outcome.Windows[full])
	return s.tooFast(scope, windows[full], outcome.Windows[full])
}

// limitUnadmitted counts a request that is about to be refused although it has
// not been counted for anybody, and gives the error to refuse it with: the one
// it has, or that of a request too many. A caller that was verified but may not
// do this is counted as itself. Everybody else is counted by address: so an
// address can use up only its refusals, and never lock out the clients behind
// it that get things right.
func (s *Server) limitUnadmitted(c *gin.Context, err error) error {
	if c.GetBool(admittedKey) || !isLimited(c.FullPath()) || !isCallersFault(err) {
		return err
	}
	var tooMany error
	if caller := principal(c); !caller.AgentID.IsZero() {
		tooMany = s.admit(c, caller)
	} else {
		c.Set(admittedKey, true)
		tooMany = s.take(c, scopeAddress, s.addressWindow(c))
	}
	if tooMany == nil {
		return err
	}
	c.Writer.Header().Del("WWW-Authenticate")
	return tooMany
}

func (s *Server) addressWindow(c *gin.Context) []limits.Window {
	return s.window("rate:address:"+s.addressOf(c), s.options.RateLimit.Max, s.options.RateLimit.Window)
}

// isLimited: health, metrics, metadata and documentation never are.
func isLimited(pattern string) bool {
	return strings.HasPrefix(pattern, "/api/") || strings.HasPrefix(pattern, "/oauth2/")
}

func isCallersFault(err error) bool {
	var refusal *domain.Error
	if errors.As(err, &refusal) {
		return router.StatusOf(refusal.Code) < http.StatusTooManyRequests
	}
	return errors.As(err, new(*router.OAuthError))
}

// addressOf is what stands for a caller that is not known otherwise. Whoever
// has an IPv6 address has a /64 of them.
func (s *Server) addressOf(c *gin.Context) string {
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

// announce says on the answer how a window stands.
func announce(c *gin.Context, window limits.Window, state limits.State) {
	header := c.Writer.Header()
	header.Set("X-RateLimit-Limit", strconv.Itoa(window.Max))
	header.Set("X-RateLimit-Remaining", strconv.Itoa(max(0, window.Max-state.Count)))
	header.Set("X-RateLimit-Reset", strconv.FormatInt(router.CeilSeconds(time.Duration(state.Frees.UnixNano())), 10))
}

func (s *Server) tooFast(scope string, window limits.Window, state limits.State) error {
	s.metrics.limitHits.WithLabelValues(scope).Inc()
	return domain.Refuse(router.CodeRateLimit, "too many requests; slow down").
		With("limit", window.Max).With("windowMs", window.Span.Milliseconds()).With(router.DetailResetAt, state.Frees.UTC())
}

func usedUp(m *metrics, scope, what string, tier domain.Tier, counter limits.Counter, count int) error {
	m.limitHits.WithLabelValues(scope).Inc()
	return domain.Refuse(domain.CodeTierLimit, "the organization has %s", what).
		With("tier", tier).With("limit", counter.Max).With("current", count).With(router.DetailResetAt, counter.Ends)
}
