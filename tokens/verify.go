package tokens

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/keyring"
)

// Access is an access token whose signature and claims have been verified.
// Whether it was revoked since is another question.
type Access struct {
	Claims       AccessClaims
	TokenID      domain.TokenID
	AgentID      domain.AgentID
	CredentialID domain.CredentialID
	Organization domain.OrganizationID
	Delegation   domain.DelegationID // zero when it acts under none
	Issuance     uuid.UUID           // the token.issued event; uuid.Nil where the token does not tell
	KeyID        string              // of the key that signed it
	Scopes       domain.Scopes
	ExpiresAt    time.Time
}

// Caller is who comes with the token.
func (t Access) Caller() domain.Caller {
	return domain.Caller{
		AgentID: t.AgentID, OrganizationID: t.Organization, Scopes: t.Scopes, CredentialID: t.CredentialID, Delegation: t.Delegation,
	}
}

// ErrNotAccessToken: it is genuine perhaps, and no access token of this issuer.
var ErrNotAccessToken = errors.New("not an access token of this issuer")

// ErrUndecided: the signing keys could not be looked at, so nobody knows yet what the
// token is, or which key signs. It is a [domain.Error] that says to try again.
var ErrUndecided error = domain.Refuse(domain.CodeUnavailable, "the signing keys cannot be looked at right now; try again")

// Verifier verifies access tokens. It is safe for concurrent use.
type Verifier struct {
	keys   *keyring.Keyring
	now    func() time.Time
	parser *jwt.Parser
	// verified remembers tokens by the SHA-256 of their text: a signature that
	// was right stays right, and expiry is looked at each time.
	verified *lru.Cache[[sha256.Size]byte, Access]
}

// NewVerifier makes a verifier of an issuer's tokens. It never looks at iat:
// the node that issued a token may have had its clock ahead of this one's, and
// a token of ours is good from the moment it was handed out.
func NewVerifier(keys *keyring.Keyring, issuer string, now func() time.Time) (*Verifier, error) {
	const remembered = 20_000
	verified, err := lru.New[[sha256.Size]byte, Access](remembered)
	if err != nil {
		return nil, err
	}
	return &Verifier{
		keys: keys, now: now, verified: verified,
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{keyring.RS256, keyring.ES256}),
			jwt.WithIssuer(issuer),
			jwt.WithExpirationRequired(),
			jwt.WithTimeFunc(now),
			jwt.WithStrictDecoding(), // one token has one text, and one place in the cache
		),
	}, nil
}

// Verify checks everything about a token that can be checked without the
// ledger: type, algorithm, key, signature, issuer and times. A key that is not known
// is looked for, within ctx. What is wrong is one of the errors of golang-jwt, or
// [ErrNotAccessToken]. With [ErrUndecided] nothing is known to be wrong.
func (v *Verifier) Verify(ctx context.Context, text string) (Access, error) {
	digest := sha256.Sum256([]byte(text))
	if token, known := v.verified.Get(digest); known {
		if !v.now().Before(token.ExpiresAt) {
			return Access{}, jwt.ErrTokenExpired
		}
		return token, nil
	}
	if strings.ContainsAny(text, "\r\n") { // which a base64 decoder skips
		return Access{}, jwt.ErrTokenMalformed
	}
	var token Access
	findKey := func(unverified *jwt.Token) (any, error) { return v.keyFor(ctx, unverified) }
	parsed, err := v.parser.ParseWithClaims(text, &token.Claims, findKey)
	if errors.Is(err, ErrUndecided) {
		return Access{}, ErrUndecided
	}
	if err != nil {
		return Access{}, err
	}
	token.KeyID, _ = parsed.Header["kid"].(string)
	if err := token.readClaims(); err != nil {
		return Access{}, err
	}
	v.verified.Add(digest, token)
	return token, nil
}

// ReadDelegation is [ReadDelegation] by the verifier's keys.
func (v *Verifier) ReadDelegation(text string) (id domain.DelegationID, genuine bool) {
	return ReadDelegation(v.keys, text)
}

// keyFor finds the key by its id and insists on the algorithm it was made for,
// so that nobody can have an RSA key taken for an HMAC secret.
func (v *Verifier) keyFor(ctx context.Context, token *jwt.Token) (any, error) {
	if typ, _ := token.Header["typ"].(string); typ != accessType {
		return nil, ErrNotAccessToken
	}
	kid, _ := token.Header["kid"].(string)
	key, alg, known, err := v.keys.Find(ctx, kid)
	if err != nil {
		return nil, ErrUndecided
	}
	if !known || alg != token.Method.Alg() {
		return nil, ErrNotAccessToken
	}
	return key, nil
}

func (t *Access) readClaims() error {
	var errs [4]error
	t.TokenID, errs[0] = domain.ParseTokenID(t.Claims.ID)
	t.AgentID, errs[1] = domain.ParseAgentID(t.Claims.AgentID)
	t.CredentialID, errs[2] = domain.ParseCredentialID(t.Claims.CredentialID)
	t.Organization, errs[3] = domain.ParseOrganizationID(t.Claims.OrganizationID)
	if err := errors.Join(errs[:]...); err != nil {
		return fmt.Errorf("%w: %w", ErrNotAccessToken, err)
	}
	if err := t.readDelegation(); err != nil {
		return err
	}
	if t.Claims.Event != "" {
		var err error
		if t.Issuance, err = uuid.Parse(t.Claims.Event); err != nil {
			return fmt.Errorf("%w: %w", ErrNotAccessToken, err)
		}
	}
	t.Scopes = domain.ParseScopes(t.Claims.Scope)
	t.ExpiresAt = time.Unix(t.Claims.ExpiresAt, 0)
	return nil
}

// readDelegation makes sure that a token acts either for its own agent or
// under a delegation, as the actor that it names.
func (t *Access) readDelegation() (err error) {
	claims := t.Claims
	switch {
	case claims.Delegation == "" && claims.Actor == nil && claims.Subject == claims.AgentID:
		return nil
	case claims.Delegation == "" || claims.Actor == nil || claims.Actor.Subject != claims.AgentID || claims.Basis == 0:
		return ErrNotAccessToken
	}
	t.Delegation, err = domain.ParseDelegationID(claims.Delegation)
	return err
}
