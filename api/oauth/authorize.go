package oauth

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/router"
)

// authorize is the authorization endpoint (RFC 6749 section 3.1) of a server
// that has no grant which needs one: agents have no browser. It is there since
// many clients take no metadata without it. No client has registered a redirect
// URI, so nobody is redirected anywhere: the answer is JSON, always.
func (h *Handler) authorize(c *gin.Context) error {
	router.NeverCached(c)
	router.AnswerOAuthError(c, http.StatusBadRequest, "unsupported_response_type",
		"this server has no grant that begins here: get a token at the token endpoint, by client_credentials")
	return nil
}
