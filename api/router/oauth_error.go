package router

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/domain"
)

// OAuthError is an error that RFC 6749 section 5.2 gives a name of its own.
type OAuthError struct {
	Status            int
	Name, Description string
}

func (e *OAuthError) Error() string { return fmt.Sprintf("%d %s: %s", e.Status, e.Name, e.Description) }

// oauthErrorBody is RFC 6749 section 5.2.
type oauthErrorBody struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

func failOAuth(c *gin.Context, status int, refusal *domain.Error) {
	name := "invalid_request"
	switch {
	case refusal.Code == domain.CodeScopeNotAllowed:
		name, status = "invalid_scope", http.StatusBadRequest
	case refusal.Code == domain.CodeUnauthorized:
		name = "invalid_token" // RFC 6750 section 3.1; client authentication answers by itself
	case refusal.Code == domain.CodeInsufficientScope:
		name = "insufficient_scope"
	case status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests:
		name = "temporarily_unavailable"
	case status == http.StatusInternalServerError:
		name = "server_error"
	}
	AnswerOAuthError(c, status, name, refusal.Message)
}

// NeverCached sets what RFC 6749 section 5.1 asks for: Pragma for caches that
// know nothing newer.
func NeverCached(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	c.Header("Pragma", "no-cache")
}

// AnswerOAuthError ends a request in the shape of RFC 6749 section 5.2.
func AnswerOAuthError(c *gin.Context, status int, name, description string) {
	NeverCached(c)
	c.AbortWithStatusPureJSON(status, oauthErrorBody{Error: name, Description: printable(description)})
}

// printable keeps to the characters that RFC 6749 section 5.2 allows in an
// error_description.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, s)
}

const tokenPath = "/oauth2/token"

// isOAuthPath reports whether errors are those of RFC 6749. What is below the
// token endpoint itself, delegation, is no standard's and answers as REST does.
func isOAuthPath(path string) bool {
	return strings.HasPrefix(path, "/oauth2/") && !strings.HasPrefix(path, tokenPath+"/") || path == "/api/v1/token" || strings.HasPrefix(path, "/api/v1/token/")
}
