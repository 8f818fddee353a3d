package foreign_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/zitadel/oidc/v3/pkg/client"
	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/client/rs"
	"github.com/zitadel/oidc/v3/pkg/client/tokenexchange"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"
)

func TestZitadelOIDC(t *testing.T) {
	s := loadScene(t)
	scopes := []string{"agents:read"}
	for name, style := range map[string]oauth2.AuthStyle{"header": oauth2.AuthStyleInHeader, "parameters": oauth2.AuthStyleInParams} {
		t.Run("token, introspection, revocation, "+name, func(t *testing.T) {
			party, err := rp.NewRelyingPartyOIDC(t.Context(), s.Issuer, s.Secret.ID, s.Secret.Secret, "", scopes, rp.WithAuthStyle(style))
			if err != nil {
				t.Fatal(err)
			}
			token, err := rp.ClientCredentials(t.Context(), party, nil)
			if err != nil {
				t.Fatal(err)
			}
			server, err := rs.NewResourceServerClientCredentials(t.Context(), s.Issuer, s.Other.ID, s.Other.Secret)
			if err != nil {
				t.Fatal(err)
			}
			expectActive(t, server, token.AccessToken, s.Secret.ID)
			if err := rp.RevokeToken(t.Context(), party, token.AccessToken, "access_token"); err != nil {
				t.Errorf("revocation: %v", err)
			}
			expectEnded(t, s, server, token.AccessToken)
		})
	}
	t.Run("JWT profile: introspection, revocation", func(t *testing.T) {
		for _, algorithm := range []string{"RS256", "ES256", "EdDSA"} {
			key := s.Keys[algorithm]
			server, err := rs.NewResourceServerJWTProfile(t.Context(), s.Issuer, key.ID, algorithm+"-key", []byte(key.PEM))
			if err != nil {
				t.Fatal(err)
			}
			access, _ := s.token(t, "RS256", "agents:read")
			expectActive(t, server, access, s.Secret.ID)

			party, err := rp.NewRelyingPartyOIDC(t.Context(), s.Issuer, key.ID, "", "", scopes,
				rp.WithJWTProfile(rp.SignerFromKeyAndKeyID([]byte(key.PEM), algorithm+"-key")))
			if err != nil {
				t.Fatal(err)
			}
			if err := rp.RevokeToken(t.Context(), party, "unknown", "access_token"); err != nil {
				t.Errorf("%s: revocation: %v", algorithm, err)
			}
		}
	})
	t.Run("token exchange", func(t *testing.T) {
		actor, _ := s.token(t, "RS256", "agents:read")
		exchanger, err := tokenexchange.NewTokenExchangerClientCredentials(t.Context(), s.Issuer, s.Secret.ID, s.Secret.Secret)
		if err != nil {
			t.Fatal(err)
		}
		token, err := tokenexchange.ExchangeToken(t.Context(), exchanger, s.Delegation, tokenTypeDelegation, actor, tokenTypeAccess,
			nil, nil, scopes, tokenTypeAccess)
		if err != nil {
			t.Fatal(err)
		}
		if status := s.statusOf(t, token.AccessToken); status != http.StatusOK {
			t.Errorf("status of the API: %d", status)
		}
	})
	t.Run("ID token", func(t *testing.T) {
		_, id := s.token(t, "RS256", "openid")
		discovered, err := client.Discover(t.Context(), s.Issuer, http.DefaultClient)
		if err != nil {
			t.Fatal(err)
		}
		keys := rp.NewRemoteKeySet(http.DefaultClient, discovered.JwksURI)
		verifier := rp.NewIDTokenVerifier(s.Issuer, s.Secret.ID, keys, rp.WithNonce(func(context.Context) string { return "n-1" }))
		claims, err := rp.VerifyIDToken[*oidc.IDTokenClaims](t.Context(), id, verifier)
		if err != nil || claims.Subject != s.Secret.ID {
			t.Errorf("got %+v, %v", claims, err)
		}
	})
}

func expectActive(t *testing.T, server rs.ResourceServer, token, client string) {
	t.Helper()
	seen, err := rs.Introspect[*oidc.IntrospectionResponse](t.Context(), server, token)
	if err != nil || !seen.Active || seen.ClientID != client {
		t.Errorf("introspection: %+v, %v", seen, err)
	}
}

func expectEnded(t *testing.T, s scene, server rs.ResourceServer, token string) {
	t.Helper()
	seen, err := rs.Introspect[*oidc.IntrospectionResponse](t.Context(), server, token)
	if err != nil || seen.Active {
		t.Errorf("introspection once revoked: %+v, %v", seen, err)
	}
	if status := s.statusOf(t, token); status != http.StatusUnauthorized {
		t.Errorf("status of the API once revoked: %d", status)
	}
}
