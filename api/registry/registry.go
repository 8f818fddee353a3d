// Package registry is the room of what is registered: organizations, their members
// and tiers, agents and their credentials. Start with [Handler.Routes].
package registry

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/api/consistency"
	"github.com/sentryagent/agentidp/api/quota"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// Handler answers what is asked about the registry.
type Handler struct {
	Ledger      *ledger.Ledger
	Queries     *readmodels.Queries
	Revocations *revocation.Index
	Tiers       *quota.Tiers
	Reads       *consistency.Reads
	DID         func(domain.AgentID) string
	NewSecret   func() (secret string, verifier domain.Verifier)
	CheckKey    func(jwk json.RawMessage) (json.RawMessage, error) // gives the form in which it is kept
	Registered  *prometheus.CounterVec                             // see [NewRegistered]
	Now         func() time.Time
}

// NewRegistered counts the agents that are registered.
func NewRegistered(registry prometheus.Registerer) *prometheus.CounterVec {
	agents := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "agentidp_agents_registered_total", Help: "Agents registered.",
	}, []string{"deployment_env"})
	registry.MustRegister(agents)
	return agents
}

// Routes are those of the registry.
func (h *Handler) Routes() []router.Route {
	return []router.Route{
		{Method: http.MethodPost, Path: "/api/v1/organizations", Repeat: router.Once, Handler: h.createOrganization},
		{Method: http.MethodGet, Path: "/api/v1/organizations", Read: router.AtPosition, Handler: h.listOrganizations},
		{Method: http.MethodGet, Path: "/api/v1/organizations/{orgId}", Read: router.AtPosition, Handler: h.getOrganization},
		{Method: http.MethodPatch, Path: "/api/v1/organizations/{orgId}", Handler: h.updateOrganization},
		{Method: http.MethodDelete, Path: "/api/v1/organizations/{orgId}", Handler: h.deleteOrganization},
		{Method: http.MethodPost, Path: "/api/v1/organizations/{orgId}/members", Repeat: router.Once, Handler: h.addMember},
		{Method: http.MethodGet, Path: "/api/v1/organizations/{orgId}/members", Read: router.AtPosition, Handler: h.listMembers},
		{Method: http.MethodPut, Path: "/api/v1/organizations/{orgId}/members/{agentId}", Handler: h.changeMember},
		{Method: http.MethodDelete, Path: "/api/v1/organizations/{orgId}/members/{agentId}", Handler: h.removeMember},
		{Method: http.MethodPost, Path: "/api/v1/organizations/{orgId}/revoke-all", Handler: h.revokeOrganizationAccess},
		{Method: http.MethodPut, Path: "/api/v1/organizations/{orgId}/tier", Handler: h.changeTier},
		{Method: http.MethodGet, Path: "/api/v1/tiers/status", Read: router.AtPosition, Handler: h.tierStatus},

		{Method: http.MethodPost, Path: "/api/v1/agents", Repeat: router.Once, Handler: h.registerAgent},
		{Method: http.MethodGet, Path: "/api/v1/agents", Read: router.AtPosition, Handler: h.listAgents},
		{Method: http.MethodGet, Path: "/api/v1/agents/{agentId}", Read: router.AtPosition, Handler: h.getAgent},
		{Method: http.MethodPatch, Path: "/api/v1/agents/{agentId}", Handler: h.updateAgent},
		{Method: http.MethodDelete, Path: "/api/v1/agents/{agentId}", Handler: h.decommissionAgent},
		{Method: http.MethodPost, Path: "/api/v1/agents/{agentId}/revoke-all", Handler: h.revokeAgentAccess},

		{Method: http.MethodPost, Path: "/api/v1/agents/{agentId}/credentials", Repeat: router.OnceSecret, Handler: h.generateCredential},
		{Method: http.MethodGet, Path: "/api/v1/agents/{agentId}/credentials", Read: router.AtPosition, Handler: h.listCredentials},
		{Method: http.MethodPost, Path: "/api/v1/agents/{agentId}/credentials/rotate", Repeat: router.OnceSecret, Handler: h.rotateCredential},
		{Method: http.MethodPost, Path: "/api/v1/agents/{agentId}/credentials/{credentialId}/rotate", Repeat: router.OnceSecret, Handler: h.rotateCredential},
		{Method: http.MethodDelete, Path: "/api/v1/agents/{agentId}/credentials/{credentialId}", Handler: h.revokeCredential},
	}
}
