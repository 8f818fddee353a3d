package keyring

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// MostImported is how many bytes a key to import may have.
const MostImported = 64 << 10

// Import reads a key that was made elsewhere from its halves, of which one may be nil: a public half alone makes a key
// that only verifies. Each is PEM (PKCS #1, PKCS #8, SEC 1, PKIX) or a JWK (RFC 7517 section 4), and line ends may be
// written as \n, as in a variable of an environment. RSA keys of 2048 bits or more and EC keys on P-256 are taken. The
// error is [ErrUnsuitable], and quotes nothing of a key.
func Import(private, public []byte) (*SigningKey, error) {
	var signer crypto.Signer
	var half crypto.PublicKey
	if len(private) > 0 {
		key, err := parse(private)
		if err != nil {
			return nil, fmt.Errorf("the private key: %w", err)
		}
		var ok bool
		if signer, ok = key.(crypto.Signer); !ok {
			return nil, fmt.Errorf("the private key: %w: it is a public one", ErrUnsuitable)
		}
		half = signer.Public()
	}
	if len(public) > 0 {
		key, err := parse(public)
		if err != nil {
			return nil, fmt.Errorf("the public key: %w", err)
		}
		if _, secret := key.(crypto.Signer); secret {
			return nil, fmt.Errorf("the public key: %w: it is a private one", ErrUnsuitable)
		}
		if same, ok := half.(interface{ Equal(crypto.PublicKey) bool }); signer != nil && (!ok || !same.Equal(key)) {
			return nil, fmt.Errorf("%w: private and public half are not of one key", ErrUnsuitable)
		}
		half = key
	}
	if half == nil {
		return nil, fmt.Errorf("%w: there is no key", ErrUnsuitable)
	}
	return newSigningKey(signer, half)
}

// parse reads one half. What it gives is *rsa.PrivateKey, *ecdsa.PrivateKey, or the public half of such.
func parse(text []byte) (any, error) {
	if len(text) > MostImported {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrUnsuitable, MostImported)
	}
	text = bytes.TrimSpace([]byte(strings.ReplaceAll(string(text), `\n`, "\n")))
	var key any
	var err error
	if bytes.HasPrefix(text, []byte("{")) {
		key, err = parseJWK(text)
	} else {
		key, err = parsePEM(text)
	}
	if err != nil {
		return nil, err
	}
	switch key.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey, *rsa.PublicKey, *ecdsa.PublicKey:
		return key, nil
	}
	return nil, fmt.Errorf("%w: it must be RSA or EC; this one is %T", ErrUnsuitable, key)
}

func parseJWK(text []byte) (any, error) {
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(text); err != nil || !jwk.Valid() {
		return nil, fmt.Errorf("%w: it is no whole JWK", ErrUnsuitable) // what the parser says may quote it
	}
	if jwk.Use != "" && jwk.Use != "sig" {
		return nil, fmt.Errorf("%w: its use is not to sign", ErrUnsuitable)
	}
	want := map[bool]string{true: RS256, false: ES256}[isRSA(jwk.Key)]
	if jwk.Algorithm != "" && jwk.Algorithm != want {
		return nil, fmt.Errorf("%w: its alg must be %s, or left out", ErrUnsuitable, want)
	}
	return jwk.Key, nil
}

func isRSA(key any) bool {
	switch key.(type) {
	case *rsa.PrivateKey, *rsa.PublicKey:
		return true
	}
	return false
}

func parsePEM(text []byte) (any, error) {
	block, rest := pem.Decode(text)
	for block != nil && block.Type == "EC PARAMETERS" { // as OpenSSL writes before a key
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		return nil, fmt.Errorf("%w: it is neither PEM nor a JWK", ErrUnsuitable)
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("%w: something follows the first key", ErrUnsuitable)
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		err = errors.New("it is encrypted: take the passphrase off first")
	default:
		return nil, fmt.Errorf("%w: a PEM block %q holds no key", ErrUnsuitable, block.Type)
	}
	if block.Headers["DEK-Info"] != "" {
		err = errors.New("it is encrypted: take the passphrase off first")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsuitable, err)
	}
	return key, nil
}
