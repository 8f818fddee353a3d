package keyring

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

const (
	rsaBits     = 2048 // of the keys that are made here, and the least that is taken
	mostRSABits = 8192 // with more, verifying a token takes too long
)

// SigningKey is one key, ready to sign where its private half is here. It is immutable and safe for concurrent use.
type SigningKey struct {
	kid       string
	alg       string
	public    crypto.PublicKey
	private   crypto.Signer // nil: it only verifies
	method    jwt.SigningMethod
	headers   map[string]string // encoded JOSE headers of the usual types, by `typ`
	createdAt time.Time
	state     State
	sealed    []byte // as it is stored
}

// ID is the kid by which verifiers find the public half.
func (key *SigningKey) ID() string { return key.kid }

// Algorithm is the JWS algorithm of its signatures.
func (key *SigningKey) Algorithm() string { return key.alg }

// VerifyOnly reports whether its private half is not here.
func (key *SigningKey) VerifyOnly() bool { return key.private == nil }

// JWK is the public half (RFC 7517 section 4).
func (key *SigningKey) JWK() jose.JSONWebKey { return key.jwk() }

// Generate makes a key for an algorithm. It is stored nowhere.
func Generate(alg string) (*SigningKey, error) {
	private, err := generateKey(alg)
	if err != nil {
		return nil, err
	}
	return newSigningKey(private, private.Public())
}

func generateKey(alg string) (crypto.Signer, error) {
	switch alg {
	case RS256:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		return nil, fmt.Errorf("%w: %q", ErrUnknownAlgorithm, alg)
	}
}

// newSigningKey finds the algorithm of a key, whose private half may be nil, and prepares it for use. The error is
// ErrUnsuitable where there is no algorithm for such keys.
func newSigningKey(private crypto.Signer, public crypto.PublicKey) (*SigningKey, error) {
	key := &SigningKey{private: private, public: public, headers: map[string]string{}}
	switch p := public.(type) {
	case *rsa.PublicKey:
		if bits := p.N.BitLen(); bits < rsaBits || bits > mostRSABits || p.N.Bit(0) == 0 || p.E < 3 || p.E%2 == 0 {
			return nil, fmt.Errorf("%w: an RSA key has %d to %d bits and an odd modulus and exponent; this one has %d bits",
				ErrUnsuitable, rsaBits, mostRSABits, bits)
		}
		key.alg, key.method = RS256, jwt.SigningMethodRS256
	case *ecdsa.PublicKey:
		if p.Curve != elliptic.P256() {
			return nil, fmt.Errorf("%w: an EC key is on P-256; this one is on %s", ErrUnsuitable, p.Curve.Params().Name)
		}
		key.alg, key.method = ES256, jwt.SigningMethodES256
	default:
		return nil, fmt.Errorf("%w: it must be RSA or EC; this one is %T", ErrUnsuitable, public)
	}
	if p, ok := private.(*rsa.PrivateKey); ok {
		if err := p.Validate(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnsuitable, err)
		}
		p.Precompute() // before the key is shared
	}
	jwk := jose.JSONWebKey{Key: public}
	if !jwk.Valid() {
		return nil, fmt.Errorf("%w: its point is not on the curve", ErrUnsuitable)
	}
	thumbprint, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, err
	}
	key.kid = base64.RawURLEncoding.EncodeToString(thumbprint)
	for _, typ := range []string{"at+jwt", "JWT"} {
		key.headers[typ] = encodeHeader(key.alg, key.kid, typ)
	}
	return key, nil
}

// in is the key in a state.
func (key *SigningKey) in(state State) *SigningKey {
	if key.state == state {
		return key
	}
	other := *key
	other.state = state
	return &other
}

func (key *SigningKey) jwk() jose.JSONWebKey {
	return jose.JSONWebKey{Key: key.public, KeyID: key.kid, Algorithm: key.alg, Use: "sig"}
}

func (key *SigningKey) publicKey() PublicKey {
	return PublicKey{KID: key.kid, Alg: key.alg, JWK: key.jwk(), CreatedAt: key.createdAt, State: key.state}
}

// seal gives the private key as PKCS #8, sealed and bound to kid and algorithm. Of a key that only verifies it seals the
// public half: whoever can write to the database could have any token verified otherwise.
func (key *SigningKey) seal(master *MasterKey) ([]byte, error) {
	if key.VerifyOnly() {
		der, err := x509.MarshalPKIXPublicKey(key.public)
		if err != nil {
			return nil, err
		}
		return master.Seal(der, sealedFor(key.kid, key.alg, true))
	}
	der, err := x509.MarshalPKCS8PrivateKey(key.private)
	if err != nil {
		return nil, err
	}
	return master.Seal(der, sealedFor(key.kid, key.alg, false))
}

// open is the reverse of seal. Its errors name kid and never quote bytes.
func (row StoredKey) open(master *MasterKey) (*SigningKey, error) {
	der, err := master.Open(row.sealed, sealedFor(row.KID, row.Alg, row.VerifyOnly))
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", row.KID, err)
	}
	private, public, err := parseHalves(der, row.VerifyOnly)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w: not a key", row.KID, ErrTampered)
	}
	key, err := newSigningKey(private, public)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", row.KID, err)
	}
	if key.kid != row.KID || key.alg != row.Alg {
		return nil, fmt.Errorf("signing key %s: %w: it is %s for %s", row.KID, ErrTampered, key.kid, key.alg)
	}
	key.createdAt, key.sealed = row.CreatedAt, row.sealed
	return key, nil
}

func parseHalves(der []byte, publicAlone bool) (crypto.Signer, crypto.PublicKey, error) {
	if publicAlone {
		public, err := x509.ParsePKIXPublicKey(der)
		return nil, public, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, nil, err
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, nil, ErrUnsuitable
	}
	return private, private.Public(), nil
}

func sealedFor(kid, alg string, publicAlone bool) []byte {
	purpose := "signing_keys\x00"
	if publicAlone {
		purpose = "signing_keys of others\x00"
	}
	return []byte(purpose + kid + "\x00" + alg)
}
