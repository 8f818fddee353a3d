package router

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
)

// WellKnown is below what clients look for the metadata of a server (RFC 8615).
const WellKnown = "/.well-known/"

const (
	corsMethods = "GET, POST, PUT, PATCH, DELETE"
	corsHeaders = "Authorization, Content-Type, Idempotency-Key, If-Match, X-Ledger-Position, X-Request-Id"
	corsExposed = "ETag, Location, Retry-After, X-Ledger-Position, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id"
	corsMaxAge  = 600
)

// openToPages lets every page read what stands under /.well-known, and the routes
// that say so: clients in a browser have to find the server before anybody could
// have configured their origin. Nothing there depends on who asks.
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
func (r *Router) cors(c *gin.Context) {
	if strings.HasPrefix(c.Request.URL.Path, WellKnown) || r.isForPages(c) {
		openToPages(c)
		return
	}
	origin := c.GetHeader("Origin")
	if origin == "" {
		return
	}
	header := c.Writer.Header()
	header.Add("Vary", "Origin")
	if !slices.Contains(r.options.CORSOrigins, origin) && !slices.Contains(r.options.CORSOrigins, "*") {
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

// isForPages reports whether a request is to a route for pages of any origin. The
// question that a browser asks before has no route of its own.
func (r *Router) isForPages(c *gin.Context) bool {
	if c.Request.Method != http.MethodOptions {
		return slices.Contains(r.open, c.FullPath())
	}
	return slices.ContainsFunc(r.open, func(pattern string) bool { return fits(pattern, c.Request.URL.Path) })
}

// fits reports whether a path is one of a pattern's, where :name is any one segment.
func fits(pattern, path string) bool {
	segments, given := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(segments) != len(given) {
		return false
	}
	for i, segment := range segments {
		if segment != given[i] && (!strings.HasPrefix(segment, ":") || given[i] == "") {
			return false
		}
	}
	return true
}
