package keyring_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sentryagent/agentidp/internal/keyring"
)

func block(kind string, der []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func jwkOf(tb testing.TB, jwk jose.JSONWebKey) []byte {
	tb.Helper()
	text, err := json.Marshal(jwk)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func pkcs8(key any) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return block("PRIVATE KEY", der, err)
}

func pkix(key any) []byte {
	der, err := x509.MarshalPKIXPublicKey(key)
	return block("PUBLIC KEY", der, err)
}

func ecKey(tb testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func rsaKey(tb testing.TB, bits int) *rsa.PrivateKey {
	tb.Helper()
	tb.Setenv("GODEBUG", "rsa1024min=0") // to make a weak one
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func TestKeysMadeElsewhereAreTaken(t *testing.T) {
	ec, r := ecKey(t, elliptic.P256()), rsaKey(t, 3072)
	sec1, err := x509.MarshalECPrivateKey(ec)
	ecPEM, rsaPEM := block("EC PRIVATE KEY", sec1, err), block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(r), nil)
	for name, test := range map[string]struct {
		private, public []byte
		alg             string
	}{
		"PKCS #8, EC":          {pkcs8(ec), nil, keyring.ES256},
		"PKCS #8, RSA":         {pkcs8(r), nil, keyring.RS256},
		"both halves":          {pkcs8(ec), pkix(ec.Public()), keyring.ES256},
		"SEC 1":                {ecPEM, nil, keyring.ES256},
		"PKCS #1":              {rsaPEM, nil, keyring.RS256},
		"PKCS #1, public":      {nil, block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&r.PublicKey), nil), keyring.RS256},
		"with parameters":      {append([]byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"), ecPEM...), nil, keyring.ES256},
		"line ends as \\n":     {[]byte(strings.ReplaceAll(string(pkcs8(ec)), "\n", `\n`)), nil, keyring.ES256},
		"JWK":                  {jwkOf(t, jose.JSONWebKey{Key: ec}), nil, keyring.ES256},
		"JWK, RSA, PEM public": {jwkOf(t, jose.JSONWebKey{Key: r, Algorithm: "RS256", Use: "sig", KeyID: "theirs"}), pkix(r.Public()), keyring.RS256},
		"public":               {nil, pkix(ec.Public()), keyring.ES256},
		"public JWK":           {nil, jwkOf(t, jose.JSONWebKey{Key: r.Public()}), keyring.RS256},
	} {
		key, err := keyring.Import(test.private, test.public)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		public := ec.Public()
		if test.alg == keyring.RS256 {
			public = r.Public()
		}
		if same := key.JWK().Key.(interface{ Equal(crypto.PublicKey) bool }); key.Algorithm() != test.alg || !same.Equal(public) || len(key.ID()) != 43 {
			t.Errorf("%s: %s for %s", name, key.ID(), key.Algorithm())
		}
		if key.VerifyOnly() != (test.private == nil) {
			t.Errorf("%s: only verifies: %v", name, key.VerifyOnly())
		}
	}
}

func TestKeysThatDoNotSuitAreRefused(t *testing.T) {
	ec, r := ecKey(t, elliptic.P256()), rsaKey(t, 2048)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak := rsaKey(t, 1024)
	p384 := ecKey(t, elliptic.P384())
	broken := *r
	broken.D = weak.D
	even := rsa.PublicKey{N: r.N, E: 4}
	legacy := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}, Bytes: x509.MarshalPKCS1PrivateKey(r)})
	for name, test := range map[string]struct{ private, public []byte }{
		"nothing":                    {nil, nil},
		"RSA of 1024 bits":           {pkcs8(weak), nil},
		"RSA of 1024 bits, public":   {nil, pkix(weak.Public())},
		"RSA of 1024 bits, JWK":      {jwkOf(t, jose.JSONWebKey{Key: weak}), nil},
		"RSA, an even exponent":      {nil, block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&even), nil)},
		"RSA, halves that differ":    {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(&broken), nil), nil},
		"P-384":                      {pkcs8(p384), nil},
		"P-384, JWK":                 {jwkOf(t, jose.JSONWebKey{Key: p384}), nil},
		"Ed25519":                    {pkcs8(ed), nil},
		"Ed25519, JWK":               {jwkOf(t, jose.JSONWebKey{Key: ed}), nil},
		"a shared secret":            {[]byte(`{"kty":"oct","k":"c2VjcmV0"}`), nil},
		"of two keys":                {pkcs8(ec), pkix(ecKey(t, elliptic.P256()).Public())},
		"of two kinds":               {pkcs8(ec), pkix(r.Public())},
		"private for public":         {nil, pkcs8(ec)},
		"public for private":         {pkix(ec.Public()), nil},
		"two keys":                   {append(pkcs8(ec), pkcs8(ec)...), nil},
		"a certificate":              {nil, block("CERTIFICATE", []byte{1}, nil)},
		"encrypted":                  {block("ENCRYPTED PRIVATE KEY", []byte{1}, nil), nil},
		"encrypted, of old":          {legacy, nil},
		"no key at all":              {[]byte("secret"), nil},
		"half a JWK":                 {[]byte(`{"kty":"EC","crv":"P-256","d":"secret"}`), nil},
		"a point off the curve":      {nil, []byte(`{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"}`)},
		"JWK for encryption":         {jwkOf(t, jose.JSONWebKey{Key: ec, Use: "enc"}), nil},
		"JWK of another algorithm":   {jwkOf(t, jose.JSONWebKey{Key: r, Algorithm: "PS256"}), nil},
		"longer than any key can be": {[]byte(strings.Repeat("x", keyring.MostImported+1)), nil},
	} {
		key, err := keyring.Import(test.private, test.public)
		if !errors.Is(err, keyring.ErrUnsuitable) || key != nil {
			t.Errorf("%s: %v, %v", name, key, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error quotes the key: %v", name, err)
		}
	}
}

// Whoever can write to the database alone cannot have it verify what they have signed.
func TestAPublicKeyIsOnlyTakenUnderSeal(t *testing.T) {
	t.Parallel()
	pool, superuser := database(t)
	k := open(t, pool, filepath.Join(t.TempDir(), "master.key"))
	use := func() error {
		t.Helper()
		stored, err := keyring.Stored(t.Context(), pool)
		if err != nil {
			t.Fatal(err)
		}
		states := map[string]keyring.State{}
		for _, row := range stored {
			states[row.KID] = keyring.Published
		}
		return k.Use(stored, states, time.Now())
	}
	key, err := keyring.Import(nil, pkix(ecKey(t, elliptic.P256()).Public()))
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Store(t.Context(), pool, key); err != nil {
		t.Fatal(err)
	}
	if err := use(); err != nil {
		t.Fatal(err)
	}
	if _, alg, ok := k.PublicKey(key.ID()); !ok || alg != keyring.ES256 {
		t.Fatalf("a public key that was imported verifies %q, %v", alg, ok)
	}
	if _, err := superuser.Exec(t.Context(), `UPDATE signing_keys SET verify_only = NOT verify_only WHERE kid = $1`, key.ID()); err != nil {
		t.Fatal(err)
	}
	if err := use(); !errors.Is(err, keyring.ErrTampered) {
		t.Errorf("it was said to be a private one: %v, want ErrTampered", err)
	}
}
