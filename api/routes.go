package api

import (
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/domain"
)

// route is one operation of the OpenAPI document.
type route struct {
	method string
	path   string // as in the document, with {parameters}
	// steps come between the checks that every request goes through and the
	// handler.
	steps   []gin.HandlerFunc
	handler gin.HandlerFunc
	open    bool // to everybody; otherwise a bearer token is needed
}

func (s *Server) routes() ([]route, error) {
	once, onceSecret := []gin.HandlerFunc{s.idempotent}, []gin.HandlerFunc{s.idempotentSecret}
	read, audited := []gin.HandlerFunc{s.atLeast}, []gin.HandlerFunc{s.atLeast, s.atHead}
	routes := []route{
		{http.MethodPost, "/api/v1/organizations", once, s.createOrganization, false},
		{http.MethodGet, "/api/v1/organizations", read, s.listOrganizations, false},
		{http.MethodGet, "/api/v1/organizations/{orgId}", read, s.getOrganization, false},
		{http.MethodPatch, "/api/v1/organizations/{orgId}", nil, s.updateOrganization, false},
		{http.MethodDelete, "/api/v1/organizations/{orgId}", nil, s.deleteOrganization, false},
		{http.MethodPost, "/api/v1/organizations/{orgId}/members", once, s.addMember, false},
		{http.MethodGet, "/api/v1/organizations/{orgId}/members", read, s.listMembers, false},
		{http.MethodPut, "/api/v1/organizations/{orgId}/members/{agentId}", nil, s.changeMember, false},
		{http.MethodDelete, "/api/v1/organizations/{orgId}/members/{agentId}", nil, s.removeMember, false},
		{http.MethodPut, "/api/v1/organizations/{orgId}/tier", nil, s.changeTier, false},
		{http.MethodGet, "/api/v1/tiers/status", read, s.tierStatus, false},

		{http.MethodPost, "/api/v1/agents", once, s.registerAgent, false},
		{http.MethodGet, "/api/v1/agents", read, s.listAgents, false},
		{http.MethodGet, "/api/v1/agents/{agentId}", read, s.getAgent, false},
		{http.MethodPatch, "/api/v1/agents/{agentId}", nil, s.updateAgent, false},
		{http.MethodDelete, "/api/v1/agents/{agentId}", nil, s.decommissionAgent, false},

		{http.MethodPost, "/api/v1/agents/{agentId}/credentials", onceSecret, s.generateCredential, false},
		{http.MethodGet, "/api/v1/agents/{agentId}/credentials", read, s.listCredentials, false},
		{http.MethodPost, "/api/v1/agents/{agentId}/credentials/rotate", onceSecret, s.rotateCredential, false},
		{http.MethodPost, "/api/v1/agents/{agentId}/credentials/{credentialId}/rotate", onceSecret, s.rotateCredential, false},
		{http.MethodDelete, "/api/v1/agents/{agentId}/credentials/{credentialId}", nil, s.revokeCredential, false},

		{http.MethodGet, "/api/v1/audit", audited, s.listAuditEvents, false},
		{http.MethodGet, "/api/v1/audit/verify", []gin.HandlerFunc{s.limitVerification}, s.verifyAudit, false},
		{http.MethodGet, "/api/v1/audit/{eventId}", audited, s.getAuditEvent, false},
		{http.MethodGet, "/api/v1/audit/state/{agentId}", []gin.HandlerFunc{s.limitStates}, s.getAgentState, false},

		{http.MethodGet, authorizePath, nil, s.authorize, true},
		{http.MethodPost, authorizePath, nil, s.authorize, true},
		{http.MethodPost, tokenPath, nil, s.issueToken, true},
		{http.MethodPost, "/api/v1/token", nil, s.issueToken, true},
		{http.MethodPost, introspectPath, nil, s.introspectToken, true},
		{http.MethodPost, "/api/v1/token/introspect", nil, s.introspectToken, true},
		{http.MethodPost, revokePath, nil, s.revokeToken, true},
		{http.MethodPost, "/api/v1/token/revoke", nil, s.revokeToken, true},

		{http.MethodGet, "/health", nil, s.health, true},
		{http.MethodGet, "/health/live", nil, s.alive, true},
		{http.MethodGet, "/health/detailed", nil, s.detailedHealth, true},
		{http.MethodGet, "/openapi.json", nil, s.spec.ServeDocument, true},
	}
	for path, document := range map[string]any{
		openIDConfigurationPath: s.metadata(),
		serverMetadataPath:      s.metadata(),
		jwksPath:                s.keys.JWKS(),
		resourceMetadataPath:    s.resourceMetadata(),
	} {
		handler, err := published(document)
		if err != nil {
			return nil, err
		}
		routes = append(routes, route{http.MethodGet, path, nil, handler, true})
	}
	for _, more := range [][]route{s.delegationRoutes(), s.ledgerRoutes(), s.complianceRoutes()} {
		routes = append(routes, more...)
	}
	notFound := func(c *gin.Context) {
		s.fail(c, domain.Refuse(domain.CodeNotFound, "there is nothing at this path; see /docs"))
	}
	routes = append(routes,
		route{http.MethodGet, "/docs", nil, s.docs.ServePage, true},
		route{http.MethodGet, "/docs/{asset}", nil, s.docs.ServeAsset(notFound), true},
	)
	if !s.options.MetricsElsewhere {
		routes = append(routes, route{http.MethodGet, "/metrics", []gin.HandlerFunc{s.allowMetrics}, gin.WrapH(MetricsHandler(s.registry)), true})
	}
	return routes, nil
}

// register puts the routes on the engine: who may and how often, then what is
// well-formed, then what it does. A protected route that the policy has no rule for would
// be open to nobody, so it is an error here.
func (s *Server) register() error {
	routes, err := s.routes()
	if err != nil {
		return err
	}
	valid := s.spec.Middleware(s.rejectRequest)
	for _, r := range routes {
		var chain []gin.HandlerFunc
		if !r.open {
			endpoint := r.method + " " + r.path
			if !s.policy.Lists(endpoint) {
				return fmt.Errorf("the policy has no rule for %s", endpoint)
			}
			chain = append(chain, s.protect(endpoint), s.limited, s.upToDate)
		}
		chain = append(append(append(chain, valid), r.steps...), r.handler)
		s.engine.Handle(r.method, ginPattern(r.path), chain...)
	}
	return nil
}
