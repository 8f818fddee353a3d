package api

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// accessTokenType is the JOSE typ of RFC 9068 section 2.1.
const accessTokenType = "at+jwt"

// accessClaims are the claims of an access token: RFC 9068 section 2.2, and ours.
type accessClaims struct {
	Issuer         string          `json:"iss"`
	Subject        string          `json:"sub"`
	Audience       string          `json:"aud"`
	ClientID       string          `json:"client_id"`
	IssuedAt       int64           `json:"iat"`
	ExpiresAt      int64           `json:"exp"`
	NotBefore      int64           `json:"nbf,omitempty"` // ours have none: they are valid from the start
	ID             string          `json:"jti"`
	Scope          string          `json:"scope"`
	AgentID        string          `json:"agent_id"`
	OrganizationID string          `json:"organization_id"`
	CredentialID   string          `json:"credential_id"`
	Ledger         ledger.Position `json:"ledger"`          // of the event that recorded the issuance
	Event          string          `json:"event,omitempty"` // the id of that event; tokens of older builds have none
	Basis          ledger.Position `json:"basis,omitempty"` // see [revocation.Token]

	// What follows stands in tokens that act under a delegation alone. There sub
	// is the delegator at the root of the chain; agent_id and client_id are who
	// acts.
	Actor      *actorClaim `json:"act,omitempty"`
	Delegation string      `json:"delegation,omitempty"` // the link that was exchanged
}

// actorClaim is RFC 8693 section 4.1: the outermost is who acts, those inside
// lent it the authority on.
type actorClaim struct {
	Subject string      `json:"sub"`
	Actor   *actorClaim `json:"act,omitempty"`
}

// The methods by which golang-jwt checks the registered claims.

func (c *accessClaims) GetIssuer() (string, error)  { return c.Issuer, nil }
func (c *accessClaims) GetSubject() (string, error) { return c.Subject, nil }
func (c *accessClaims) GetAudience() (jwt.ClaimStrings, error) {
	return jwt.ClaimStrings{c.Audience}, nil
}
func (c *accessClaims) GetNotBefore() (*jwt.NumericDate, error) {
	if c.NotBefore == 0 {
		return nil, nil //nolint:nilnil // absent
	}
	return jwt.NewNumericDate(time.Unix(c.NotBefore, 0)), nil
}
func (c *accessClaims) GetIssuedAt() (*jwt.NumericDate, error) {
	return jwt.NewNumericDate(time.Unix(c.IssuedAt, 0)), nil
}
func (c *accessClaims) GetExpirationTime() (*jwt.NumericDate, error) {
	if c.ExpiresAt == 0 {
		return nil, nil //nolint:nilnil // absent; the parser requires it
	}
	return jwt.NewNumericDate(time.Unix(c.ExpiresAt, 0)), nil
}

// accessToken is an access token whose signature and claims have been
// verified. Whether it was revoked since is another question.
type accessToken struct {
	claims       accessClaims
	tokenID      domain.TokenID
	agentID      domain.AgentID
	credentialID domain.CredentialID
	organization domain.OrganizationID
	delegation   domain.DelegationID // zero when it acts under none
	issuance     uuid.UUID           // the token.issued event; uuid.Nil where the token does not tell
	scopes       domain.Scopes
	expiresAt    time.Time
}

func (t accessToken) caller() domain.Caller {
	return domain.Caller{
		AgentID: t.agentID, OrganizationID: t.organization, Scopes: t.scopes, CredentialID: t.credentialID, Delegation: t.delegation,
	}
}

// ref is what the index of revocations is asked about.
func (t accessToken) ref() revocation.Token {
	return revocation.Token{
		TokenID:        t.tokenID,
		AgentID:        t.agentID,
		CredentialID:   t.credentialID,
		OrganizationID: t.organization,
		ExpiresAt:      t.expiresAt,
		Position:       t.claims.Ledger,
		Basis:          t.claims.Basis,
		Delegation:     t.delegation,
	}
}

// accessTokens signs and verifies access tokens.
type accessTokens struct {
	keys   *keyring.Keyring
	alg    string
	issuer string
	now    func() time.Time
	parser *jwt.Parser
	// verified remembers tokens by the SHA-256 of their text: a signature that
	// was right stays right, and expiry is looked at each time.
	verified *lru.Cache[[sha256.Size]byte, accessToken]
}

// newAccessTokens makes a signer and verifier. Verifying never looks at iat:
// the node that issued a token may have had its clock ahead of this one's, and
// a token of ours is good from the moment it was handed out.
func newAccessTokens(keys *keyring.Keyring, alg, issuer string, now func() time.Time) (*accessTokens, error) {
	const remembered = 20_000
	verified, err := lru.New[[sha256.Size]byte, accessToken](remembered)
	if err != nil {
		return nil, err
	}
	return &accessTokens{
		keys: keys, alg: alg, issuer: issuer, now: now, verified: verified,
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{jwt.SigningMethodRS256.Alg(), jwt.SigningMethodES256.Alg()}),
			jwt.WithIssuer(issuer),
			jwt.WithExpirationRequired(),
			jwt.WithTimeFunc(now),
			jwt.WithStrictDecoding(), // one token has one text, and one place in the cache
		),
	}, nil
}

func (t *accessTokens) sign(claims accessClaims) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	return t.keys.Sign(t.alg, accessTokenType, payload)
}

var errNotAccessToken = errors.New("not an access token of this issuer")

// verify checks everything about a token that can be checked without the
// ledger: type, algorithm, key, signature, issuer and times.
func (t *accessTokens) verify(text string) (accessToken, error) {
	digest := sha256.Sum256([]byte(text))
	if token, known := t.verified.Get(digest); known {
		if !t.now().Before(token.expiresAt) {
			return accessToken{}, jwt.ErrTokenExpired
		}
		return token, nil
	}
	if strings.ContainsAny(text, "\r\n") { // which a base64 decoder skips
		return accessToken{}, jwt.ErrTokenMalformed
	}
	var token accessToken
	if _, err := t.parser.ParseWithClaims(text, &token.claims, t.keyFor); err != nil {
		return accessToken{}, err
	}
	if err := token.readClaims(); err != nil {
		return accessToken{}, err
	}
	t.verified.Add(digest, token)
	return token, nil
}

// keyFor finds the key by its id and insists on the algorithm it was made for,
// so that nobody can have an RSA key taken for an HMAC secret.
func (t *accessTokens) keyFor(token *jwt.Token) (any, error) {
	if typ, _ := token.Header["typ"].(string); typ != accessTokenType {
		return nil, errNotAccessToken
	}
	kid, _ := token.Header["kid"].(string)
	key, alg, known := t.keys.PublicKey(kid)
	if !known || alg != token.Method.Alg() {
		return nil, errNotAccessToken
	}
	return key, nil
}

func (t *accessToken) readClaims() error {
	var errs [4]error
	t.tokenID, errs[0] = domain.ParseTokenID(t.claims.ID)
	t.agentID, errs[1] = domain.ParseAgentID(t.claims.AgentID)
	t.credentialID, errs[2] = domain.ParseCredentialID(t.claims.CredentialID)
	t.organization, errs[3] = domain.ParseOrganizationID(t.claims.OrganizationID)
	if err := errors.Join(errs[:]...); err != nil {
		return fmt.Errorf("%w: %w", errNotAccessToken, err)
	}
	if err := t.readDelegation(); err != nil {
		return err
	}
	if t.claims.Event != "" {
		var err error
		if t.issuance, err = uuid.Parse(t.claims.Event); err != nil {
			return fmt.Errorf("%w: %w", errNotAccessToken, err)
		}
	}
	t.scopes = domain.ParseScopes(t.claims.Scope)
	t.expiresAt = time.Unix(t.claims.ExpiresAt, 0)
	return nil
}

// readDelegation makes sure that a token acts either for its own agent or
// under a delegation, as the actor that it names.
func (t *accessToken) readDelegation() (err error) {
	claims := t.claims
	switch {
	case claims.Delegation == "" && claims.Actor == nil && claims.Subject == claims.AgentID:
		return nil
	case claims.Delegation == "" || claims.Actor == nil || claims.Actor.Subject != claims.AgentID || claims.Basis == 0:
		return errNotAccessToken
	}
	t.delegation, err = domain.ParseDelegationID(claims.Delegation)
	return err
}
