package foreign_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/auth/extauth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// TestMCPGoSDK signs in to an MCP server whose metadata names ours as the
// authorization server, and which asks ours about each token.
func TestMCPGoSDK(t *testing.T) {
	s := loadScene(t)
	endpoint := mcpServer(t, s)
	for _, test := range []struct {
		name, secret string
		works        bool
	}{{"calls a tool", s.Secret.Secret, true}, {"a wrong secret", "sk_live_wrong", false}} {
		t.Run(test.name, func(t *testing.T) {
			handler, err := extauth.NewClientCredentialsHandler(&extauth.ClientCredentialsHandlerConfig{
				Credentials: &oauthex.ClientCredentials{
					ClientID: s.Secret.ID, ClientSecretAuth: &oauthex.ClientSecretAuth{ClientSecret: test.secret}, Issuer: s.Issuer,
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			caller, err := whoami(t.Context(), endpoint, handler)
			if test.works && (err != nil || caller != s.Secret.ID) {
				t.Errorf("got %q, %v", caller, err)
			}
			if !test.works && (err == nil || !strings.Contains(err.Error(), "invalid_client")) {
				t.Errorf("got %q, %v", caller, err)
			}
		})
	}
	t.Run("metadata of our own API", func(t *testing.T) {
		resource, err := oauthex.GetProtectedResourceMetadata(t.Context(), s.Issuer+"/.well-known/oauth-protected-resource", s.Issuer, http.DefaultClient)
		if err != nil {
			t.Fatal(err)
		}
		server, err := auth.GetAuthServerMetadata(t.Context(), resource.AuthorizationServers[0], http.DefaultClient)
		if err != nil || server == nil || server.TokenEndpoint != s.Issuer+"/oauth2/token" {
			t.Errorf("got %+v, %v", server, err)
		}
	})
}

func whoami(ctx context.Context, endpoint string, handler auth.OAuthHandler) (string, error) {
	client := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1.0.0"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: endpoint, OAuthHandler: handler, DisableStandaloneSSE: true}, nil)
	if err != nil {
		return "", err
	}
	defer session.Close()
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "whoami"})
	if err != nil {
		return "", err
	}
	return result.Content[0].(*mcp.TextContent).Text, nil
}

// mcpServer is an MCP server with one tool, which tells who calls.
func mcpServer(t *testing.T, s scene) (endpoint string) {
	t.Helper()
	server := mcp.NewServer(&mcp.Implementation{Name: "tool", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "whoami"}, func(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		caller := auth.TokenInfoFromContext(ctx).UserID
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: caller}}}, nil, nil
	})
	mux := http.NewServeMux()
	listener := httptest.NewServer(mux)
	t.Cleanup(listener.Close)
	endpoint = listener.URL + "/mcp"
	metadata := listener.URL + "/.well-known/oauth-protected-resource/mcp"
	mux.Handle("/.well-known/oauth-protected-resource/mcp", auth.ProtectedResourceMetadataHandler(&oauthex.ProtectedResourceMetadata{
		Resource: endpoint, AuthorizationServers: []string{s.Issuer}, ScopesSupported: []string{"agents:read", "webhooks:read"},
	}))
	verify := func(ctx context.Context, token string, _ *http.Request) (*auth.TokenInfo, error) {
		seen, err := s.introspect(ctx, token)
		if err != nil {
			return nil, err
		}
		if seen["active"] != true {
			return nil, auth.ErrInvalidToken
		}
		return &auth.TokenInfo{
			Scopes: strings.Fields(seen["scope"].(string)), Expiration: time.Unix(int64(seen["exp"].(float64)), 0), UserID: seen["client_id"].(string),
		}, nil
	}
	mux.Handle("/mcp", auth.RequireBearerToken(verify, &auth.RequireBearerTokenOptions{
		ResourceMetadataURL: metadata, Scopes: []string{"agents:read"},
	})(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)))
	return endpoint
}
