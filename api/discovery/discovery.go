// Package discovery is the room of how clients find out about this server: the
// documents under /.well-known, the OpenAPI document, and a page that shows it. Start
// with [New].
package discovery

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
)

// Handler answers what is asked about the server's interfaces. Make one with [New].
type Handler struct {
	Issuer              string
	Audience            string // the API's own address
	Endpoints           Endpoints
	Grants              []string // values of grant_type
	AssertionAlgorithms []string // of client assertions
	Description         []byte   // the OpenAPI document as JSON
	// JWKS is the keys of tokens as they are now, encoded.
	JWKS         func(context.Context) ([]byte, error)
	JWKSLifetime time.Duration // how long clients may keep them

	documents []document
	docs      *docs
}

// Endpoints are the paths of OAuth.
type Endpoints struct{ Authorization, Token, Introspection, Revocation string }

// document stays the same while the server runs.
type document struct {
	path string
	body []byte
}

// New completes a handler that has its needs.
func New(h Handler) (*Handler, error) {
	for path, content := range map[string]any{
		openIDConfigurationPath: h.metadata(),
		serverMetadataPath:      h.metadata(),
		resourceMetadataPath:    h.resourceMetadata(),
	} {
		body, err := json.Marshal(content)
		if err != nil {
			return nil, err
		}
		h.documents = append(h.documents, document{path, body})
	}
	var err error
	h.docs, err = loadDocs(h.Description)
	return &h, err
}

// Routes are those of the metadata and the documentation. A new signing key is
// published longer before its first use than clients may keep the keys.
func (h *Handler) Routes() []router.Route {
	routes := append(h.docs.routes(), router.Route{
		Method: http.MethodGet, Path: jwksPath, Access: router.Open, Handler: h.serveJWKS,
		Cache: "public, max-age=" + strconv.Itoa(int(h.JWKSLifetime.Seconds())),
	})
	for _, d := range h.documents {
		routes = append(routes, router.Route{Method: http.MethodGet, Path: d.path, Access: router.Open, Cache: fiveMinutes, Handler: d.serve})
	}
	return routes
}

// serveJWKS gives the keys that tokens are verified with (RFC 7517 section 5).
func (h *Handler) serveJWKS(c *gin.Context) error {
	body, err := h.JWKS(c.Request.Context())
	if err != nil {
		return domain.Refuse(domain.CodeUnavailable, "the signing keys cannot be looked at right now; try again")
	}
	return document{body: body}.serve(c)
}

func (d document) serve(c *gin.Context) error {
	c.Data(http.StatusOK, "application/json; charset=utf-8", d.body)
	return nil
}
