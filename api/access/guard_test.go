package access

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/tokens"
)

// The log says in a few words why a bearer token was refused; what is no fault
// of the token is no refusal.
func TestWhyABearerTokenWasRefused(t *testing.T) {
	refusedFor := func(err error) error { return fmt.Errorf("%w: %w", errBadBearer, err) }
	for _, test := range []struct {
		err  error
		says string
	}{
		{errNoBearer, "no bearer"},
		{errForeign, "audience"},
		{refusedFor(jwt.ErrTokenExpired), "expired"},
		{refusedFor(errors.Join(jwt.ErrTokenInvalidClaims, jwt.ErrTokenInvalidIssuer)), "issuer"},
		{refusedFor(jwt.ErrTokenSignatureInvalid), "signature"},
		{refusedFor(errors.Join(jwt.ErrTokenUnverifiable, tokens.ErrNotAccessToken)), "not an access token"},
		{refusedFor(jwt.ErrTokenMalformed), "malformed"},
		{refusedFor(tokens.ErrNotAccessToken), "claims"},
		{fmt.Errorf("%w: %s", ErrRevoked, "token_revoked"), "revoked"},
	} {
		if reason, refused := whyRefused(test.err); !refused || !strings.Contains(reason, test.says) {
			t.Errorf("%v: %q, refused %t; want it to tell of %q", test.err, reason, refused, test.says)
		}
	}
	if _, refused := whyRefused(revocation.ErrStale); refused {
		t.Error("a ledger that is away is taken for a bad token")
	}
}
