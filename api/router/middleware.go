package router

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

// observed logs and measures every request, and turns a panic into a 500.
func (r *Router) observed(c *gin.Context) {
	start := time.Now()
	defer func() {
		if panicked := recover(); panicked != nil {
			r.options.Logger.ErrorContext(c.Request.Context(), "panic", "panic", fmt.Sprint(panicked),
				"requestId", RequestID(c), "route", c.FullPath(), "stack", string(debug.Stack()))
			if !c.Writer.Written() {
				r.fail(c, fmt.Errorf("panic in %s", c.FullPath()))
			}
			c.Abort()
		}
		r.record(c, time.Since(start))
	}()
	c.Next()
}

func (r *Router) record(c *gin.Context, took time.Duration) {
	route := c.FullPath()
	if route == "" {
		route = "unmatched"
	}
	status := c.Writer.Status()
	r.metrics.observeRequest(c.Request.Method, route, status, took)
	level := slog.LevelDebug
	if status >= http.StatusInternalServerError {
		level = slog.LevelWarn
	}
	if r.options.Logger.Enabled(c.Request.Context(), level) {
		r.options.Logger.LogAttrs(c.Request.Context(), level, "request",
			slog.String("method", c.Request.Method), slog.String("route", route), slog.Int("status", status),
			slog.Float64("tookMs", float64(took.Microseconds())/1000), slog.String("requestId", RequestID(c)))
	}
}

// leaving has connections closed after their answer once this server is about
// to stop; a client that keeps one finds it open until then.
func (r *Router) leaving(c *gin.Context) {
	if r.draining.Load() {
		c.Header("Connection", "close")
	}
}

// withSecurityHeaders sets what every response carries; pages loosen the
// content policy for themselves.
func (r *Router) withSecurityHeaders(c *gin.Context) {
	header := c.Writer.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	if r.options.HSTS {
		header.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	}
	setCaching(c)
}

// setCaching sets what a path says about caching where its route says nothing.
func setCaching(c *gin.Context) {
	header := c.Writer.Header()
	path := c.Request.URL.Path
	if strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "/oauth2/") || strings.HasPrefix(path, "/agents/") {
		header.Set("Cache-Control", "no-store")
	} else {
		header.Del("Cache-Control")
	}
}

// cached sets what a route says about caching. An error takes it back.
func cached(directive string) gin.HandlerFunc {
	return func(c *gin.Context) { c.Header("Cache-Control", directive) }
}
