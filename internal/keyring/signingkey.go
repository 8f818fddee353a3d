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

const rsaBits = 2048

// SigningKey is one private key, ready to sign. It is immutable and safe for concurrent use.
type SigningKey struct {
	kid       string
	alg       string
	private   crypto.Signer
	method    jwt.SigningMethod
	headers   map[string]string // encoded JOSE headers of the usual types, by `typ`
	createdAt time.Time
	retired   bool
}

// ID is the kid by which verifiers find the public half.
func (key *SigningKey) ID() string { return key.kid }

// Algorithm is the JWS algorithm of its signatures.
func (key *SigningKey) Algorithm() string { return key.alg }

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

// newSigningKey checks that private suits alg and prepares it for use.
func newSigningKey(alg string, private crypto.Signer, createdAt time.Time, retired bool) (*SigningKey, error) {
	key := &SigningKey{alg: alg, private: private, createdAt: createdAt, retired: retired}
	switch p := private.(type) {
	case *rsa.PrivateKey:
		if alg != RS256 || p.N.BitLen() < rsaBits {
			return nil, fmt.Errorf("RSA key of %d bits does not suit %s", p.N.BitLen(), alg)
		}
		p.Precompute() // before the key is shared
		key.method = jwt.SigningMethodRS256
	case *ecdsa.PrivateKey:
		if alg != ES256 || p.Curve != elliptic.P256() {
			return nil, fmt.Errorf("EC key on %s does not suit %s", p.Curve.Params().Name, alg)
		}
		key.method = jwt.SigningMethodES256
	default:
		return nil, fmt.Errorf("%T does not suit %s", private, alg)
	}
	public := jose.JSONWebKey{Key: private.Public()}
	thumbprint, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, err
	}
	key.kid = base64.RawURLEncoding.EncodeToString(thumbprint)
	key.headers = map[string]string{}
	for _, typ := range []string{"at+jwt", "JWT"} {
		key.headers[typ] = encodeHeader(key.alg, key.kid, typ)
	}
	return key, nil
}

func (key *SigningKey) jwk() jose.JSONWebKey {
	return jose.JSONWebKey{Key: key.private.Public(), KeyID: key.kid, Algorithm: key.alg, Use: "sig"}
}

func (key *SigningKey) publicKey() PublicKey {
	return PublicKey{KID: key.kid, Alg: key.alg, JWK: key.jwk(), CreatedAt: key.createdAt, Retired: key.retired}
}

// seal gives the private key as PKCS #8, sealed and bound to kid and algorithm.
func (key *SigningKey) seal(master *MasterKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key.private)
	if err != nil {
		return nil, err
	}
	return master.Seal(der, sealedFor(key.kid, key.alg))
}

// openKey is the reverse of seal. Its errors name kid and never quote bytes.
func openKey(master *MasterKey, kid, alg string, sealed []byte, createdAt time.Time, retired bool) (*SigningKey, error) {
	der, err := master.Open(sealed, sealedFor(kid, alg))
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", kid, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	private, ok := parsed.(crypto.Signer)
	if err != nil || !ok {
		return nil, fmt.Errorf("signing key %s: %w: not a PKCS #8 private key", kid, ErrTampered)
	}
	key, err := newSigningKey(alg, private, createdAt, retired)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", kid, err)
	}
	if key.kid != kid {
		return nil, fmt.Errorf("signing key %s: %w: its thumbprint is %s", kid, ErrTampered, key.kid)
	}
	return key, nil
}

func sealedFor(kid, alg string) []byte { return []byte("signing_keys\x00" + kid + "\x00" + alg) }
