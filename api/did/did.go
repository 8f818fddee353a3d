// Package did is the room of decentralized identifiers: the did:web documents of
// agents and of the server itself, the keys in them, and the cards that say who an
// agent is. Documents and cards are open to everybody. Start with [Handler.Routes].
package did

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/api/consistency"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// Handler answers what is asked about DIDs.
type Handler struct {
	Ledger    *ledger.Ledger
	Queries   *readmodels.Queries
	Reads     *consistency.Reads
	DID       func(domain.AgentID) string // of an agent that was registered without one
	Instance  Instance
	PublicURL string        // the API's own address
	Issuer    string        // of tokens, as cards say it
	MaxAge    time.Duration // how long others may keep documents and cards
	CheckKey  func(jwk json.RawMessage) (json.RawMessage, error)
	Used      UsedProofs
	Generated prometheus.Counter // see [NewGenerated]
	Now       func() time.Time
}

// Instance is the server itself as a DID.
type Instance struct {
	DID  string
	Key  ledger.InstanceKey
	Sign func(text []byte) (signature []byte, err error) // by that key, with ES256
}

// keyID is the DID URL of its key.
func (i Instance) keyID() string {
	return i.DID + domain.DIDKey{Number: i.Key.KeyNumber}.Fragment()
}

// UsedProofs remembers over all nodes which proofs were used.
type UsedProofs interface {
	// Use reports whether this is the first use of an id by an agent.
	Use(ctx context.Context, agent domain.AgentID, id string, expiresAt time.Time) (first bool, err error)
}

// NewGenerated counts the documents that are made.
func NewGenerated(registry prometheus.Registerer) prometheus.Counter {
	generated := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "agentidp_did_documents_generated_total", Help: "DID documents made.",
	})
	registry.MustRegister(generated)
	return generated
}

const (
	instancePath = router.WellKnown + "did.json"
	keysPath     = router.WellKnown + "did-jwks.json"
	agentPath    = "/api/v1/agents/{agentId}"
	cardPath     = agentPath + "/did/card"
)

// Routes are those of DIDs and cards.
func (h *Handler) Routes() []router.Route {
	kept := "public, max-age=" + strconv.Itoa(int(h.MaxAge/time.Second))
	open := func(path string, handler router.Handler) router.Route {
		return router.Route{
			Method: http.MethodGet, Path: path, Access: router.Open, AnyOrigin: true, Limit: router.Documents, Cache: kept, Handler: handler,
		}
	}
	return []router.Route{
		open(instancePath, h.getInstanceDocument),
		open(keysPath, h.getInstanceKeys),
		open("/agents/{agentId}/did.json", h.getDocument),
		open(agentPath+"/did", h.getDocument),
		open(cardPath, h.getCard),
		open("/agents/{agentId}/.well-known/agent-card.json", h.getA2ACard),
		open(agentPath+"/card", movedTo(h.prefix(), func(c *gin.Context) string { return "/api/v1/agents/" + c.Param("agentId") + "/did/card" })),
		open("/api/v1/.well-known/did.json", movedTo(h.prefix(), func(*gin.Context) string { return instancePath })),
		{Method: http.MethodGet, Path: agentPath + "/did/resolve", Read: router.AtPosition, Handler: h.resolve},
		{Method: http.MethodPost, Path: agentPath + "/did/keys", Repeat: router.Once, Handler: h.rotateKey},
	}
}

func (h *Handler) prefix() string {
	public, err := url.Parse(h.PublicURL)
	if err != nil {
		return ""
	}
	return public.EscapedPath()
}

// movedTo sends clients of an older address to the one of today, with their query.
// The prefix is the path that the world reaches this server by.
func movedTo(prefix string, path func(*gin.Context) string) router.Handler {
	return func(c *gin.Context) error {
		to := prefix + path(c)
		if c.Request.URL.RawQuery != "" {
			to += "?" + c.Request.URL.RawQuery
		}
		c.Header("Location", to)
		c.Status(http.StatusPermanentRedirect)
		return nil
	}
}

var (
	errUnknown    = domain.Refuse(domain.CodeAgentNotFound, "there is no such agent")
	errNoDocument = domain.Refuse(domain.CodeAgentNotFound, "the agent has no DID document yet; one is made within the hour")
)

// identity finds the agent that the path names, of whatever organization.
func (h *Handler) identity(c *gin.Context) (agent domain.Agent, err error) {
	id, err := domain.ParseAgentID(c.Param("agentId"))
	if err != nil {
		return agent, err
	}
	if err := h.Reads.Current(c); err != nil {
		return agent, err
	}
	agent, err = h.Queries.Identity(c.Request.Context(), id)
	if errors.Is(err, readmodels.ErrNotFound) {
		return agent, errUnknown
	}
	return agent, err
}

// shown finds the agent that the path names, where it has something to show.
func (h *Handler) shown(c *gin.Context) (agent domain.Agent, err error) {
	agent, err = h.identity(c)
	switch {
	case err != nil:
		return agent, err
	case agent.Status == domain.AgentIsGone:
		return agent, router.Gone(domain.Refuse(domain.CodeAgentDecommissioned, "the agent is decommissioned, so it has no keys any more"))
	case !agent.Keys.Exist():
		return agent, errNoDocument
	}
	return agent, nil
}
