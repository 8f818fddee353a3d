package foreign_test

import (
	"testing"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

func TestKeyfunc(t *testing.T) {
	s := loadScene(t)
	keys, err := keyfunc.NewDefaultCtx(t.Context(), []string{s.Issuer + "/.well-known/jwks.json"})
	if err != nil {
		t.Fatal(err)
	}
	for _, algorithm := range s.algorithms() {
		t.Run(algorithm, func(t *testing.T) {
			access, _ := s.token(t, algorithm, "agents:read")
			parse := func(text, audience string) (*jwt.Token, error) {
				return jwt.Parse(text, keys.Keyfunc, jwt.WithValidMethods([]string{algorithm}), jwt.WithIssuer(s.Issuer),
					jwt.WithAudience(audience), jwt.WithExpirationRequired())
			}
			token, err := parse(access, s.Issuer)
			if err != nil {
				t.Fatal(err)
			}
			if subject, _ := token.Claims.GetSubject(); subject != s.Secret.ID {
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
