package foreign_test

import (
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
)

func TestGoOIDC(t *testing.T) {
	s := loadScene(t)
	provider, err := oidc.NewProvider(t.Context(), s.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	if got := provider.Endpoint().TokenURL; got != s.Issuer+"/oauth2/token" {
		t.Errorf("token endpoint %s", got)
	}
	for _, algorithm := range s.algorithms() {
		t.Run(algorithm, func(t *testing.T) {
			access, id := s.token(t, algorithm, "agents:read openid")
			token, err := provider.Verifier(&oidc.Config{ClientID: s.Secret.ID}).Verify(t.Context(), id)
			if err != nil {
				t.Fatalf("ID token: %v", err)
			}
			var claims struct {
				Type string `json:"agent_type"`
			}
			if err := token.Claims(&claims); err != nil || token.Subject != s.Secret.ID || token.Nonce != "n-1" || claims.Type != "custom" {
				t.Errorf("ID token: got %+v, %+v, %v", token, claims, err)
			}
			verifier := provider.Verifier(&oidc.Config{ClientID: s.Issuer})
			if _, err := verifier.Verify(t.Context(), access); err != nil {
				t.Errorf("access token: %v", err)
			}
			if _, err := verifier.Verify(t.Context(), tampered(t, access)); err == nil {
				t.Error("a tampered access token passed")
			}
			if _, err := provider.Verifier(&oidc.Config{ClientID: "https://other.example"}).Verify(t.Context(), access); err == nil {
				t.Error("an access token for another audience passed")
			}
		})
	}
}
