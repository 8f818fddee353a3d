package api

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/domain"
)

// observed logs and measures every request, and turns a panic into a 500.
func (s *Server) observed(c *gin.Context) {
	start := time.Now()
	defer func() {
		if panicked := recover(); panicked != nil {
			s.logger.ErrorContext(c.Request.Context(), "panic", "panic", fmt.Sprint(panicked),
				"requestId", requestID(c), "route", c.FullPath(), "stack", string(debug.Stack()))
			if !c.Writer.Written() {
				s.fail(c, fmt.Errorf("panic in %s", c.FullPath()))
			}
			c.Abort()
		}
		s.record(c, time.Since(start))
	}()
	c.Next()
}

func (s *Server) record(c *gin.Context, took time.Duration) {
	route := c.FullPath()
	if route == "" {
		route = "unmatched"
	}
	status := c.Writer.Status()
	s.metrics.observeRequest(c.Request.Method, route, status, took)
	level := slog.LevelDebug
	if status >= http.StatusInternalServerError {
		level = slog.LevelWarn
	}
	if s.logger.Enabled(c.Request.Context(), level) {
		s.logger.LogAttrs(c.Request.Context(), level, "request",
			slog.String("method", c.Request.Method), slog.String("route", route), slog.Int("status", status),
			slog.Float64("tookMs", float64(took.Microseconds())/1000), slog.String("requestId", requestID(c)))
	}
}

// leaving has connections closed after their answer once this server is about
// to stop; a client that keeps one finds it open until then.
func (s *Server) leaving(c *gin.Context) {
	if s.draining.Load() {
		c.Header("Connection", "close")
	}
}

// withSecurityHeaders sets what every response carries; pages loosen the
// content policy for themselves.
func (s *Server) withSecurityHeaders(c *gin.Context) {
	header := c.Writer.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	if s.options.HSTS {
		header.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	}
	if path := c.Request.URL.Path; strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "/oauth2/") {
		header.Set("Cache-Control", "no-store")
	}
}

const (
	corsMethods = "GET, POST, PUT, PATCH, DELETE"
	corsHeaders = "Authorization, Content-Type, Idempotency-Key, If-Match, X-Ledger-Position, X-Request-Id"
	corsExposed = "ETag, Location, Retry-After, X-Ledger-Position, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id"
	corsMaxAge  = 600
)

// openToPages lets every page read what stands under /.well-known: clients in a
// browser have to find the server before anybody could have configured their
// origin. Nothing there depends on who asks.
func openToPages(c *gin.Context) {
	header := c.Writer.Header()
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Access-Control-Expose-Headers", corsExposed)
	header.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if c.Request.Method == http.MethodOptions {
		header.Set("Allow", "GET, HEAD, OPTIONS")
		header.Set("Access-Control-Allow-Methods", "GET, HEAD")
		header.Set("Access-Control-Allow-Headers", "*")
		header.Set("Access-Control-Max-Age", strconv.Itoa(corsMaxAge))
		c.AbortWithStatus(http.StatusNoContent)
	}
}

// cors lets pages of the configured origins call the API. Credentials are
// bearer tokens, never cookies, so none are allowed.
func (s *Server) cors(c *gin.Context) {
	if strings.HasPrefix(c.Request.URL.Path, wellKnown) {
		openToPages(c)
		return
	}
	origin := c.GetHeader("Origin")
	if origin == "" {
		return
	}
	header := c.Writer.Header()
	header.Add("Vary", "Origin")
	if !slices.Contains(s.options.CORSOrigins, origin) && !slices.Contains(s.options.CORSOrigins, "*") {
		return
	}
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Expose-Headers", corsExposed)
	header.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if c.Request.Method == http.MethodOptions && c.GetHeader("Access-Control-Request-Method") != "" {
		header.Set("Access-Control-Allow-Methods", corsMethods)
		header.Set("Access-Control-Allow-Headers", corsHeaders)
		header.Set("Access-Control-Max-Age", strconv.Itoa(corsMaxAge))
		c.AbortWithStatus(http.StatusNoContent)
	}
}

// allowMetrics lets only the configured networks read the metrics. Through a
// proxy that is not trusted everybody would have the proxy's address, which is
// loopback where it runs on the same machine.
func (s *Server) allowMetrics(c *gin.Context) {
	from := s.callerOf(c.Request)
	if !from.certain {
		s.fail(c, domain.Refuse(domain.CodeCrossTenant,
			"metrics are not served through a proxy that is not trusted; ask the server itself, or name the proxy in TRUSTED_PROXIES"))
		return
	}
	if !slices.ContainsFunc(s.options.MetricsAllow, func(p netip.Prefix) bool { return p.Contains(from.address) }) {
		s.fail(c, domain.Refuse(domain.CodeCrossTenant, "metrics are not served to this address; see METRICS_ALLOW"))
	}
}
