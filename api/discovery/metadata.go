package discovery

import (
	"strings"

	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
)

const (
	openIDConfigurationPath = router.WellKnown + "openid-configuration"
	serverMetadataPath      = router.WellKnown + "oauth-authorization-server"
	resourceMetadataPath    = router.WellKnown + "oauth-protected-resource"
	jwksPath                = router.WellKnown + "jwks.json"
)

// serverMetadata is RFC 8414 section 2 and OpenID Connect Discovery section 3.
// No member is ever null or empty: section 3.2 has those left out.
type serverMetadata struct {
	Issuer                    string        `json:"issuer"`
	AuthorizationEndpoint     string        `json:"authorization_endpoint"`
	TokenEndpoint             string        `json:"token_endpoint"`
	IntrospectionEndpoint     string        `json:"introspection_endpoint"`
	RevocationEndpoint        string        `json:"revocation_endpoint"`
	JWKSURI                   string        `json:"jwks_uri"`
	ScopesSupported           domain.Scopes `json:"scopes_supported"`
	ResponseTypes             []string      `json:"response_types_supported"`
	GrantTypes                []string      `json:"grant_types_supported"`
	CodeChallengeMethods      []string      `json:"code_challenge_methods_supported"`
	SubjectTypes              []string      `json:"subject_types_supported"`
	IDTokenAlgorithms         []string      `json:"id_token_signing_alg_values_supported"`
	TokenAuthMethods          []string      `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgorithms       []string      `json:"token_endpoint_auth_signing_alg_values_supported"`
	IntrospectionAuthMethods  []string      `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionAlgorithms   []string      `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	RevocationAuthMethods     []string      `json:"revocation_endpoint_auth_methods_supported"`
	RevocationAlgorithms      []string      `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	ClaimsSupported           []string      `json:"claims_supported"`
	ServiceDocumentation      string        `json:"service_documentation"`
	ResourceIndicatorsAllowed bool          `json:"resource_indicators_supported"`
}

// protectedResource is RFC 9728 section 2.
type protectedResource struct {
	Resource             string        `json:"resource"`
	AuthorizationServers []string      `json:"authorization_servers"`
	JWKSURI              string        `json:"jwks_uri"`
	ScopesSupported      domain.Scopes `json:"scopes_supported"`
	BearerMethods        []string      `json:"bearer_methods_supported"`
	Documentation        string        `json:"resource_documentation"`
}

// metadata names the issuer by OIDC_ISSUER and every endpoint by PUBLIC_URL,
// which is how the world reaches this server. The authorization endpoint and
// what belongs to it are there because many clients refuse a server without
// them, whatever grant they are for.
func (h *Handler) metadata() serverMetadata {
	methods := []string{"client_secret_basic", "client_secret_post", "private_key_jwt"} // some clients take the first
	return serverMetadata{
		Issuer:                   h.Issuer,
		AuthorizationEndpoint:    h.Audience + h.Endpoints.Authorization,
		TokenEndpoint:            h.Audience + h.Endpoints.Token,
		IntrospectionEndpoint:    h.Audience + h.Endpoints.Introspection,
		RevocationEndpoint:       h.Audience + h.Endpoints.Revocation,
		JWKSURI:                  h.Audience + jwksPath,
		ScopesSupported:          domain.AllScopes(),
		ResponseTypes:            []string{"code"},
		GrantTypes:               h.Grants,
		CodeChallengeMethods:     []string{"S256"},
		SubjectTypes:             []string{"public"},
		IDTokenAlgorithms:        []string{"RS256", "ES256"},
		TokenAuthMethods:         methods,
		TokenAuthAlgorithms:      h.AssertionAlgorithms,
		IntrospectionAuthMethods: methods,
		IntrospectionAlgorithms:  h.AssertionAlgorithms,
		RevocationAuthMethods:    methods,
		RevocationAlgorithms:     h.AssertionAlgorithms,
		ClaimsSupported: []string{"iss", "sub", "aud", "iat", "exp", "nonce", "organization_id", "agent_type",
			"owner", "version", "did", "act", "delegation"},
		ServiceDocumentation:      h.Audience + "/docs",
		ResourceIndicatorsAllowed: true,
	}
}

func (h *Handler) resourceMetadata() protectedResource {
	return protectedResource{
		Resource:             h.Audience,
		AuthorizationServers: []string{h.Issuer},
		JWKSURI:              h.Audience + jwksPath,
		ScopesSupported:      domain.AllScopes(),
		BearerMethods:        []string{"header"},
		Documentation:        h.Audience + "/docs",
	}
}

// ResourceMetadataURL is where RFC 9728 section 3.1 puts the document: before
// the path that the resource itself has.
func ResourceMetadataURL(resource string) string {
	origin, path := splitURL(resource)
	return origin + resourceMetadataPath + path
}

// Aliases are the further paths at which clients look for the documents
// of an issuer and a resource with a path, each with the path it stands for:
// RFC 8414 section 3.1 and RFC 9728 section 3.1 put the path of the identifier
// behind the well-known part, OpenID Connect Discovery section 4 before it.
func (h *Handler) Aliases() map[string]string {
	aliases := map[string]string{}
	if _, path := splitURL(h.Issuer); path != "" {
		aliases[serverMetadataPath+path] = serverMetadataPath
		aliases[openIDConfigurationPath+path] = openIDConfigurationPath
		aliases[path+openIDConfigurationPath] = openIDConfigurationPath
	}
	if _, path := splitURL(h.Audience); path != "" {
		aliases[resourceMetadataPath+path] = resourceMetadataPath
	}
	return aliases
}

// splitURL cuts an absolute URL without query or fragment before its path.
func splitURL(absolute string) (origin, path string) {
	scheme, rest, _ := strings.Cut(absolute, "://")
	host, path, found := strings.Cut(rest, "/")
	if found {
		path = "/" + path
	}
	return scheme + "://" + host, path
}
