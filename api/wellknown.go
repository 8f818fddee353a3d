package api

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
)

const (
	authorizePath  = "/oauth2/authorize"
	introspectPath = "/oauth2/introspect"
	revokePath     = "/oauth2/revoke"

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
// them, whatever grant they are for; see [Server.authorize].
func (s *Server) metadata() serverMetadata {
	methods := []string{"client_secret_basic", "client_secret_post", "private_key_jwt"} // some clients take the first
	return serverMetadata{
		Issuer:                   s.issuer,
		AuthorizationEndpoint:    s.audience + authorizePath,
		TokenEndpoint:            s.tokenEndpoint(),
		IntrospectionEndpoint:    s.audience + introspectPath,
		RevocationEndpoint:       s.audience + revokePath,
		JWKSURI:                  s.audience + jwksPath,
		ScopesSupported:          domain.AllScopes(),
		ResponseTypes:            []string{"code"},
		GrantTypes:               s.grants(),
		CodeChallengeMethods:     []string{"S256"},
		SubjectTypes:             []string{"public"},
		IDTokenAlgorithms:        []string{"RS256", "ES256"},
		TokenAuthMethods:         methods,
		TokenAuthAlgorithms:      assertionAlgorithms(),
		IntrospectionAuthMethods: methods,
		IntrospectionAlgorithms:  assertionAlgorithms(),
		RevocationAuthMethods:    methods,
		RevocationAlgorithms:     assertionAlgorithms(),
		ClaimsSupported: []string{"iss", "sub", "aud", "iat", "exp", "nonce", "organization_id", "agent_type",
			"owner", "version", "did", "act", "delegation"},
		ServiceDocumentation:      s.audience + "/docs",
		ResourceIndicatorsAllowed: true,
	}
}

func (s *Server) tokenEndpoint() string { return s.audience + tokenPath }

func (s *Server) resourceMetadata() protectedResource {
	return protectedResource{
		Resource:             s.audience,
		AuthorizationServers: []string{s.issuer},
		JWKSURI:              s.audience + jwksPath,
		ScopesSupported:      domain.AllScopes(),
		BearerMethods:        []string{"header"},
		Documentation:        s.audience + "/docs",
	}
}

// resourceMetadataURL is where RFC 9728 section 3.1 puts the document: before
// the path that the resource itself has.
func (s *Server) resourceMetadataURL() string {
	origin, path := splitURL(s.audience)
	return origin + resourceMetadataPath + path
}

// metadataAliases are the further paths at which clients look for the documents
// of an issuer and a resource with a path, each with the path it stands for:
// RFC 8414 section 3.1 and RFC 9728 section 3.1 put the path of the identifier
// behind the well-known part, OpenID Connect Discovery section 4 before it.
func (s *Server) metadataAliases() map[string]string {
	aliases := map[string]string{}
	if _, path := splitURL(s.issuer); path != "" {
		aliases[serverMetadataPath+path] = serverMetadataPath
		aliases[openIDConfigurationPath+path] = openIDConfigurationPath
		aliases[path+openIDConfigurationPath] = openIDConfigurationPath
	}
	if _, path := splitURL(s.audience); path != "" {
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

// published serves a document that stays the same while the server runs. A new
// signing key is published longer than five minutes before its first use.
func published(path string, document any) (router.Route, error) {
	body, err := json.Marshal(document)
	if err != nil {
		return router.Route{}, err
	}
	return router.Route{Method: http.MethodGet, Path: path, Access: router.Open, Cache: fiveMinutes, Handler: func(c *gin.Context) error {
		c.Data(http.StatusOK, "application/json; charset=utf-8", body)
		return nil
	}}, nil
}
