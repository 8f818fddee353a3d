package system_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
	"github.com/sentryagent/agentidp/internal/config"
)

// An event store that asks for users: one who may not read $all and one whose password
// is wrong are told so, with what to do, by servers and by commands; a plain user who
// may is enough; a right that is taken away from under a server stops it serving,
// not running, and no password is shown by any of them. A store without TLS is
// warned of once.
func TestUsersOfTheEventStore(t *testing.T) {
	t.Parallel()
	const password, wrong = "pa55-of-the-ledger", "pa55-that-is-wrong"
	w := newWorldOn(t, config.EventStoreESDB, "CONTROL_CHECK_INTERVAL_MS=1000")
	plain := w.serve(t)
	if n := strings.Count(plain.stderr.String(), "the event store is reached without TLS"); n != 1 {
		t.Errorf("a store without TLS was warned of %d times", n)
	}
	detailed := plain.must(t, http.StatusOK, http.MethodGet, "/health/detailed", "", nil)
	if !strings.Contains(string(detailed.raw), `"transport":"plaintext"`) {
		t.Errorf("how the store is reached is not told: %s", detailed.raw)
	}
	plain.signal(t, syscall.SIGTERM)
	plain.wait(t, patience)
	addresses, ca := behindTLS(t, w.eventStore)
	w.eventStore.RequireUsers(map[string]string{"admin": "pa55-of-the-admin", "agentidp": password})
	as := func(user, password string) string {
		return "ESDB_URL=esdb://" + user + ":" + password + "@" + strings.Join(addresses, ",") + "?tlsCaFile=" + ca
	}
	maySeeAll := func(acl string) {
		t.Helper()
		event := model.Proposed{ID: model.ID(uuid.New()), Type: "$metadata", ContentType: "application/json", Data: []byte(acl)}
		if _, err := w.eventStore.Model().Leader().Append(t.Context(), true, "$$$all", model.ExpectAny, []model.Proposed{event}); err != nil {
			t.Fatal(err)
		}
	}
	const recipe = `{"$acl":{"$r":["$admins","USER"]}}`
	silent := func(what, output string) {
		t.Helper()
		for _, secret := range []string{password, wrong, "pa55", "sorry, this error code"} {
			if strings.Contains(output, secret) {
				t.Errorf("%s shows %q:\n%s", what, secret, lastLines(output))
			}
		}
	}
	ends := func(what, url string, said ...string) {
		t.Helper()
		for _, c := range []struct {
			args []string
			code int
		}{
			{[]string{"serve"}, exitFailed},
			{[]string{"ledger", "verify", "--live"}, exitBadUsage},
			{[]string{"projections", "verify"}, exitBadUsage},
		} {
			r := runToEnd(t, append(append([]string{}, w.settings...), fmt.Sprintf("PORT=%d", freePort(t)), url), c.args...)
			silent(what, r.stdout+r.stderr)
			for _, text := range said {
				if r.code != c.code || !strings.Contains(r.stdout+r.stderr, text) {
					t.Errorf("%s: %v: code %d, want %d and %q\n%s%s", what, c.args, r.code, c.code, text, r.stdout, lastLines(r.stderr))
				}
			}
		}
	}
	ends("no right", as("agentidp", password), recipe, "docs/runbooks/eventstoredb.md")
	ends("a wrong password", as("agentidp", wrong), "user or password is wrong")
	ends("an unknown user", as("nobody", wrong), "user or password is wrong")

	maySeeAll(`{"$acl":{"$r":["$admins","agentidp"]}}`)
	s := w.serve(t, as("agentidp", password))
	owner := s.tenant(t, w)
	s.mustToken(t, owner.agent, owner.secret, "")
	if strings.Contains(s.stderr.String(), "without TLS") {
		t.Error("a store with TLS is warned of")
	}

	maySeeAll(`{"$acl":{"$r":"$admins"}}`)
	await(t, "the loss of the right to be told", func(ctx context.Context) error {
		health, err := s.call(ctx, http.MethodGet, "/health", "", nil)
		token, asked := s.token(ctx, owner.agent, owner.secret, "")
		switch {
		case err != nil || asked != nil:
			return fmt.Errorf("%w, %w", err, asked)
		case health.status != http.StatusServiceUnavailable || token.status != http.StatusServiceUnavailable:
			return fmt.Errorf("health %d, a token %d %s", health.status, token.status, token.raw)
		case !strings.Contains(s.stderr.String(), "the metadata of $all"):
			return fmt.Errorf("the log does not have the recipe")
		}
		silent("health and a token", string(health.raw)+string(token.raw))
		return nil
	})
	maySeeAll(`{"$acl":{"$r":["$admins","agentidp"]}}`)
	s.healthy(t, patience)
	s.mustToken(t, owner.agent, owner.secret, "")
	s.signal(t, syscall.SIGTERM)
	silent("the server", s.wait(t, patience).stderr)
}

// behindTLS gives each node of a cluster a way in that takes TLS alone, as a server
// has that is not insecure, and says which CA vouches for it.
func behindTLS(t *testing.T, cluster *wiretest.Cluster) (addresses []string, caFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	caFile = filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	settings := &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12,
	}
	view, err := cluster.NewView()
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range view.Addresses() {
		listener, err := tls.Listen("tcp", "127.0.0.1:0", settings)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		addresses = append(addresses, listener.Addr().String())
		go func() {
			for {
				accepted, err := listener.Accept()
				if err != nil {
					return
				}
				go func() {
					defer accepted.Close()
					behind, err := net.Dial("tcp", node)
					if err != nil {
						return
					}
					defer behind.Close()
					go func() {
						_, _ = io.Copy(behind, accepted)
						_ = behind.Close()
					}()
					_, _ = io.Copy(accepted, behind)
				}()
			}
		}()
	}
	view.Advertise(addresses)
	return addresses, caFile
}
