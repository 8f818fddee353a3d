package foreign_test

import (
	"testing"

	"github.com/lestrrat-go/httprc/v3"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

func TestJWX(t *testing.T) {
	s := loadScene(t)
	cache, err := jwk.NewCache(t.Context(), httprc.NewClient())
	if err != nil {
		t.Fatal(err)
	}
	address := s.Issuer + "/.well-known/jwks.json"
	if err := cache.Register(t.Context(), address); err != nil {
		t.Fatal(err)
	}
	keys, err := cache.CachedSet(address)
	if err != nil {
		t.Fatal(err)
	}
	for _, algorithm := range s.algorithms() {
		t.Run(algorithm, func(t *testing.T) {
			access, _ := s.token(t, algorithm, "agents:read")
			parse := func(text, audience string) (jwt.Token, error) {
				return jwt.Parse([]byte(text), jwt.WithKeySet(keys), jwt.WithIssuer(s.Issuer), jwt.WithAudience(audience))
			}
			token, err := parse(access, s.Issuer)
			if err != nil {
				t.Fatal(err)
			}
			if subject, _ := token.Subject(); subject != s.Secret.ID {
				t.Errorf("sub %s", subject)
			}
			if _, err := parse(tampered(t, access), s.Issuer); err == nil {
				t.Error("a tampered token passed")
			}
			if _, err := parse(access, "https://other.example"); err == nil {
				t.Error("a token for another audience passed")
			}
		})
	}
}
