package api_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

const (
	partnersPath  = "/api/v1/federation/partners"
	federatedPath = "/api/v1/federation/verify"
)

// partnerCA vouches for the partners of these tests. The servers trust it by
// SSL_CERT_FILE, as an operator has them trust a private CA.
var partnerCA tls.Certificate

// trustPartners comes before the first https call of the process: the system's roots
// are read once.
func trustPartners() error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "partners of the tests"}, NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return err
	}
	partnerCA = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
	file, err := os.CreateTemp("", "partners-*.pem")
	if err != nil {
		return err
	}
	defer func() { _ = errors.Join(file.Close(), os.Remove(file.Name())) }()
	if err := pem.Encode(file, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
		return err
	}
	if err := os.Setenv("SSL_CERT_FILE", file.Name()); err != nil {
		return err
	}
	_, err = x509.SystemCertPool() // reads it, so that it may go
	return err
}

// partner is an issuer of somebody else's.
type partner struct {
	*httptest.Server
	fetches atomic.Int32
	answer  atomic.Pointer[http.HandlerFunc] // instead of the keys
	keys    atomic.Pointer[jose.JSONWebKeySet]
	es, rs  crypto.Signer
	id      string // at our server
}

const (
	esKey = "es-1"
	rsKey = "rs-1"
)

func newPartner(tb testing.TB) *partner {
	tb.Helper()
	es, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatal(err)
	}
	p := &partner{es: es, rs: rs}
	p.publish(jose.JSONWebKey{Key: es.Public(), KeyID: esKey}, jose.JSONWebKey{Key: rs.Public(), KeyID: rsKey, Use: "sig", Algorithm: "RS256"})
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.fetches.Add(1)
		if answer := p.answer.Load(); answer != nil {
			(*answer)(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(p.keys.Load())
	}))
	p.TLS = &tls.Config{Certificates: []tls.Certificate{partnerCA}}
	p.StartTLS()
	tb.Cleanup(p.Close)
	return p
}

func (p *partner) publish(keys ...jose.JSONWebKey) { p.keys.Store(&jose.JSONWebKeySet{Keys: keys}) }

func (p *partner) answers(with http.HandlerFunc) { p.answer.Store(&with) }

func (p *partner) issuer() string { return p.URL + "/realms/A/" }

func (p *partner) body(fields map[string]any) map[string]any {
	body := map[string]any{"name": "Beta", "issuer": p.issuer(), "jwksUri": p.URL + "/jwks"}
	maps.Copy(body, fields)
	return body
}

// register makes the partner one of the server's.
func (p *partner) register(tb testing.TB, s *scene, fields map[string]any) answer {
	tb.Helper()
	registered := s.must(tb, post(s.operator, partnersPath, p.body(fields)), 201, "")
	p.id = registered.text("partnerId")
	return registered
}

func (p *partner) path() string { return partnersPath + "/" + p.id }

// claims are those of a good token; fields win, and nil takes a claim away.
func (p *partner) claims(fields map[string]any) jwt.MapClaims {
	claims := jwt.MapClaims{
		"iss": p.issuer(), "sub": "agent-7", "aud": []string{"https://tools.acme.example"},
		"exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(), "big": json.Number("12345678901234567890"),
	}
	for name, value := range fields {
		if value == nil {
			delete(claims, name)
			continue
		}
		claims[name] = value
	}
	return claims
}

// token is signed with ES256, under a header whose members win.
func (p *partner) token(tb testing.TB, header, claims map[string]any) string {
	tb.Helper()
	return signedBy(tb, jwt.SigningMethodES256, p.es, esKey, header, p.claims(claims))
}

func signedBy(tb testing.TB, method jwt.SigningMethod, key any, kid string, header map[string]any, claims jwt.Claims) string {
	tb.Helper()
	made := jwt.NewWithClaims(method, claims)
	made.Header["kid"] = kid
	for name, value := range header {
		if value == nil {
			delete(made.Header, name)
			continue
		}
		made.Header[name] = value
	}
	text, err := made.SignedString(key)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// federation is a scene with a partner, and a tenant who asks about its tokens.
func federation(tb testing.TB, settings ...string) (*scene, *partner, tenant) {
	tb.Helper()
	s := newScene(tb, append([]string{"OUTBOUND_ALLOW=127.0.0.0/8", "RATE_LIMIT_MAX_REQUESTS=0"}, settings...)...)
	p := newPartner(tb)
	p.register(tb, s, nil)
	return s, p, s.tenant(tb)
}

func verify(caller, token string) request {
	return post(caller, federatedPath, map[string]any{"token": token})
}

// mustRefuse wants a 401 for a reason.
func (s *server) mustRefuse(tb testing.TB, caller, token, reason string) {
	tb.Helper()
	a := s.must(tb, verify(caller, token), 401, "UNAUTHORIZED")
	details, _ := a.object()["details"].(map[string]any)
	if details["reason"] != reason {
		tb.Errorf("refused for %v (%s), want %s", details["reason"], a.text("message"), reason)
	}
	if a.header.Get("WWW-Authenticate") == "" {
		tb.Error("401 without a challenge")
	}
}
