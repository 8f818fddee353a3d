package api

import (
	"net/http"

	"github.com/sentryagent/agentidp/api/router"
)

func (s *Server) routes() ([]router.Route, error) {
	routes := []router.Route{
		{Method: http.MethodPost, Path: "/api/v1/organizations", Repeat: router.Once, Handler: s.createOrganization},
		{Method: http.MethodGet, Path: "/api/v1/organizations", Read: router.AtPosition, Handler: s.listOrganizations},
		{Method: http.MethodGet, Path: "/api/v1/organizations/{orgId}", Read: router.AtPosition, Handler: s.getOrganization},
		{Method: http.MethodPatch, Path: "/api/v1/organizations/{orgId}", Handler: s.updateOrganization},
		{Method: http.MethodDelete, Path: "/api/v1/organizations/{orgId}", Handler: s.deleteOrganization},
		{Method: http.MethodPost, Path: "/api/v1/organizations/{orgId}/members", Repeat: router.Once, Handler: s.addMember},
		{Method: http.MethodGet, Path: "/api/v1/organizations/{orgId}/members", Read: router.AtPosition, Handler: s.listMembers},
		{Method: http.MethodPut, Path: "/api/v1/organizations/{orgId}/members/{agentId}", Handler: s.changeMember},
		{Method: http.MethodDelete, Path: "/api/v1/organizations/{orgId}/members/{agentId}", Handler: s.removeMember},
		{Method: http.MethodPut, Path: "/api/v1/organizations/{orgId}/tier", Handler: s.changeTier},
		{Method: http.MethodGet, Path: "/api/v1/tiers/status", Read: router.AtPosition, Handler: s.tierStatus},

		{Method: http.MethodPost, Path: "/api/v1/agents", Repeat: router.Once, Handler: s.registerAgent},
		{Method: http.MethodGet, Path: "/api/v1/agents", Read: router.AtPosition, Handler: s.listAgents},
		{Method: http.MethodGet, Path: "/api/v1/agents/{agentId}", Read: router.AtPosition, Handler: s.getAgent},
		{Method: http.MethodPatch, Path: "/api/v1/agents/{agentId}", Handler: s.updateAgent},
		{Method: http.MethodDelete, Path: "/api/v1/agents/{agentId}", Handler: s.decommissionAgent},

		{Method: http.MethodPost, Path: "/api/v1/agents/{agentId}/credentials", Repeat: router.OnceSecret, Handler: s.generateCredential},
		{Method: http.MethodGet, Path: "/api/v1/agents/{agentId}/credentials", Read: router.AtPosition, Handler: s.listCredentials},
		{Method: http.MethodPost, Path: "/api/v1/agents/{agentId}/credentials/rotate", Repeat: router.OnceSecret, Handler: s.rotateCredential},
		{Method: http.MethodPost, Path: "/api/v1/agents/{agentId}/credentials/{credentialId}/rotate", Repeat: router.OnceSecret, Handler: s.rotateCredential},
		{Method: http.MethodDelete, Path: "/api/v1/agents/{agentId}/credentials/{credentialId}", Handler: s.revokeCredential},

		{Method: http.MethodGet, Path: "/api/v1/audit", Read: router.AtHead, Handler: s.listAuditEvents},
		{Method: http.MethodGet, Path: "/api/v1/audit/verify", Limit: router.Verifications, Handler: s.verifyAudit},
		{Method: http.MethodGet, Path: "/api/v1/audit/{eventId}", Read: router.AtHead, Handler: s.getAuditEvent},
		{Method: http.MethodGet, Path: "/api/v1/audit/state/{agentId}", Limit: router.States, Handler: s.getAgentState},

		{Method: http.MethodGet, Path: authorizePath, Access: router.Open, Handler: s.authorize},
		{Method: http.MethodPost, Path: authorizePath, Access: router.Open, Handler: s.authorize},
		{Method: http.MethodPost, Path: tokenPath, Access: router.Open, Handler: s.issueToken},
		{Method: http.MethodPost, Path: "/api/v1/token", Access: router.Open, Handler: s.issueToken},
		{Method: http.MethodPost, Path: introspectPath, Access: router.Open, Handler: s.introspectToken},
		{Method: http.MethodPost, Path: "/api/v1/token/introspect", Access: router.Open, Handler: s.introspectToken},
		{Method: http.MethodPost, Path: revokePath, Access: router.Open, Handler: s.revokeToken},
		{Method: http.MethodPost, Path: "/api/v1/token/revoke", Access: router.Open, Handler: s.revokeToken},

		{Method: http.MethodGet, Path: "/health", Access: router.Open, Cache: "no-store", Handler: s.health},
		{Method: http.MethodGet, Path: "/health/live", Access: router.Open, Cache: "no-store", Handler: s.alive},
		{Method: http.MethodGet, Path: "/health/detailed", Access: router.Open, Cache: "no-store", Handler: s.detailedHealth},
	}
	for path, document := range map[string]any{
		openIDConfigurationPath: s.metadata(),
		serverMetadataPath:      s.metadata(),
		jwksPath:                s.keys.JWKS(),
		resourceMetadataPath:    s.resourceMetadata(),
	} {
		route, err := published(path, document)
		if err != nil {
			return nil, err
		}
		routes = append(routes, route)
	}
	for _, more := range [][]router.Route{s.delegationRoutes(), s.ledgerRoutes(), s.complianceRoutes(), s.docs.Routes()} {
		routes = append(routes, more...)
	}
	if !s.options.MetricsElsewhere {
		routes = append(routes, router.Route{Method: http.MethodGet, Path: "/metrics", Access: router.Open, Handler: s.serveMetrics()})
	}
	return routes, nil
}
