package api

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/domain"
)

// serverMetadata is RFC 8414 section 2 and OpenID Connect Discovery section 3.
type serverMetadata struct {
	Issuer                    string        `json:"issuer"`
	TokenEndpoint             string        `json:"token_endpoint"`
	IntrospectionEndpoint     string        `json:"introspection_endpoint"`
	RevocationEndpoint        string        `json:"revocation_endpoint"`
	JWKSURI                   string        `json:"jwks_uri"`
	ScopesSupported           domain.Scopes `json:"scopes_supported"`
	ResponseTypes             []string      `json:"response_types_supported"`
	GrantTypes                []string      `json:"grant_types_supported"`
	SubjectTypes              []string      `json:"subject_types_supported"`
	IDTokenAlgorithms         []string      `json:"id_token_signing_alg_values_supported"`
	TokenAuthMethods          []string      `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgorithms       []string      `json:"token_endpoint_auth_signing_alg_values_supported"`
	IntrospectionAuthMethods  []string      `json:"introspection_endpoint_auth_methods_supported"`
	RevocationAuthMethods     []string      `json:"revocation_endpoint_auth_methods_supported"`
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

func (s *Server) metadata() serverMetadata {
	methods := []string{"client_secret_basic", "client_secret_post", "private_key_jwt"}
	algorithms := []string{"RS256", "ES256"}
	return serverMetadata{
		Issuer:                   s.issuer,
		TokenEndpoint:            s.issuer + tokenPath,
		IntrospectionEndpoint:    s.issuer + "/oauth2/introspect",
		RevocationEndpoint:       s.issuer + "/oauth2/revoke",
		JWKSURI:                  s.issuer + "/.well-known/jwks.json",
		ScopesSupported:          domain.AllScopes(),
		ResponseTypes:            []string{},
		GrantTypes:               s.grants(),
		SubjectTypes:             []string{"public"},
		IDTokenAlgorithms:        algorithms,
		TokenAuthMethods:         methods,
		TokenAuthAlgorithms:      algorithms,
		IntrospectionAuthMethods: methods,
		RevocationAuthMethods:    methods,
		ClaimsSupported: []string{"iss", "sub", "aud", "iat", "exp", "nonce", "organization_id", "agent_type",
			"owner", "version", "did", "act", "delegation"},
		ServiceDocumentation:      s.issuer + "/docs",
		ResourceIndicatorsAllowed: true,
	}
}

func (s *Server) resourceMetadata() protectedResource {
	return protectedResource{
		Resource:             s.audience,
		AuthorizationServers: []string{s.issuer},
		JWKSURI:              s.issuer + "/.well-known/jwks.json",
		ScopesSupported:      domain.AllScopes(),
		BearerMethods:        []string{"header"},
		Documentation:        s.issuer + "/docs",
	}
}

// published serves a document that stays the same while the server runs.
func published(document any) (gin.HandlerFunc, error) {
	const maxAge = 300 // seconds; a new signing key is published longer than this before its first use
	body, err := json.Marshal(document)
	if err != nil {
		return nil, err
	}
	return func(c *gin.Context) {
		c.Header("Cache-Control", "public, max-age="+strconv.Itoa(maxAge))
		c.Header("Access-Control-Allow-Origin", "*")
		c.Header("Cross-Origin-Resource-Policy", "cross-origin")
		c.Data(http.StatusOK, "application/json; charset=utf-8", body)
	}, nil
}
