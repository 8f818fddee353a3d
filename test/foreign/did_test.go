package foreign_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/server/servertest"
)

// public is what those get to know who meet an agent: a server over https, whose
// certificate is of a CA of the test's own, and agents in it.
type public struct {
	Issuer   string `json:"issuer"`
	Operator string `json:"operator"` // a token
	Agent    string `json:"agent"`
	DID      string `json:"did"` // of that agent
	Own      string `json:"own"` // an agent that brings a key
	OwnDID   string `json:"ownDid"`
	GoneDID  string `json:"goneDid"` // of an agent that was decommissioned
}

// TestNodeOverHTTPS runs each script of node/https, as somebody who meets an agent
// would: did:web wants https.
func TestNodeOverHTTPS(t *testing.T) {
	need(t, "npm")
	n := installNode(t)
	port := freePort(t)
	issuer := "https://localhost:" + port
	w := servertest.NewWorld(t, "PUBLIC_URL="+issuer)
	behind := w.Serve(t)
	authority := serveTLS(t, port, behind)

	s := &scene{Issuer: behind}
	operator := s.token(t, secretClient{w.Operator.ClientID, w.Operator.ClientSecret}, "admin:orgs agents:write "+agentScopes)
	organization := s.post(t, operator, "/api/v1/organizations", map[string]any{"name": "Foreign", "slug": "foreign"})["organizationId"]
	did := func(id string) string { return "did:web:localhost%3A" + port + ":agents:" + id }
	p := public{Issuer: issuer, Operator: operator, Agent: s.agent(t, operator, organization, "met"), Own: s.agent(t, operator, organization, "own")}
	gone := s.agent(t, operator, organization, "gone")
	p.DID, p.OwnDID, p.GoneDID = did(p.Agent), did(p.Own), did(gone)
	s.decommission(t, operator, gone)

	content, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "scene.json")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob(filepath.Join(n.dir, "https", "*.mjs"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".mjs"), func(t *testing.T) {
			t.Parallel()
			runChecks(t, program(t, n.dir, []string{"FOREIGN_SCENE=" + file, "NODE_EXTRA_CA_CERTS=" + authority}, n.binary, script))
		})
	}
}

func (s *scene) decommission(t *testing.T, token, agent string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, s.Issuer+"/api/v1/agents/"+agent, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		t.Fatalf("decommission: %d", response.StatusCode)
	}
}

// serveTLS puts https in front of a server, on a port of localhost, and gives the
// file of the certificate to trust.
func serveTLS(t *testing.T, port, behind string) (authority string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	authority = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	to, err := url.Parse(behind)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	front := &http.Server{
		Handler:           &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }},
		ReadHeaderTimeout: time.Minute,
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		},
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = front.ServeTLS(listener, "", "") // until it is closed
	}()
	t.Cleanup(func() {
		_ = front.Close()
		<-served
	})
	return authority
}
