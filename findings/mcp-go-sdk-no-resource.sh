#!/usr/bin/env bash
# Expected: the ClientCredentialsHandler of the MCP Go SDK v1.8.0 sends `resource` with the URI of the MCP server in its token request,
# as the MCP authorization specification (2025-11-25) demands of clients and as the SDK's own AuthorizationCodeHandler does. Seen: it
# sends none, so that an authorization server cannot name the MCP server as the token's audience.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >go.mod <<'EOF'
module finding

go 1.26.0

require github.com/modelcontextprotocol/go-sdk v1.8.0
EOF
cat >main.go <<'EOF'
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"

	"github.com/modelcontextprotocol/go-sdk/auth/extauth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

func main() {
	var sent []string
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	defer server.Close()
	answer := func(path string, document map[string]any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if path == "/token" {
				_ = r.ParseForm()
				for name := range r.PostForm {
					sent = append(sent, name)
				}
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(document)
		})
	}
	answer("/.well-known/oauth-protected-resource/mcp", map[string]any{
		"resource": server.URL + "/mcp", "authorization_servers": []string{server.URL}, "scopes_supported": []string{"tools"},
	})
	answer("/.well-known/oauth-authorization-server", map[string]any{
		"issuer": server.URL, "authorization_endpoint": server.URL + "/authorize", "token_endpoint": server.URL + "/token",
		"response_types_supported": []string{"code"}, "code_challenge_methods_supported": []string{"S256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_post"},
	})
	answer("/token", map[string]any{"access_token": "token", "token_type": "Bearer", "expires_in": 3600})

	handler, err := extauth.NewClientCredentialsHandler(&extauth.ClientCredentialsHandlerConfig{
		Credentials: &oauthex.ClientCredentials{ClientID: "id", ClientSecretAuth: &oauthex.ClientSecretAuth{ClientSecret: "secret"}},
	})
	if err != nil {
		panic(err)
	}
	request, _ := http.NewRequest(http.MethodPost, server.URL+"/mcp", nil)
	refused := httptest.NewRecorder()
	refused.Header().Set("WWW-Authenticate", `Bearer resource_metadata="`+server.URL+`/.well-known/oauth-protected-resource/mcp"`)
	refused.WriteHeader(http.StatusUnauthorized)
	if err := handler.Authorize(request.Context(), request, refused.Result()); err != nil {
		panic(err)
	}
	slices.Sort(sent)
	fmt.Printf("MCP Go SDK v1.8.0, ClientCredentialsHandler: the token request has %v\n", sent)
	if len(sent) == 0 || slices.Contains(sent, "resource") {
		os.Exit(1)
	}
}
EOF
export GOFLAGS=-mod=mod GOWORK=off
go mod tidy >/dev/null 2>&1
go run .
