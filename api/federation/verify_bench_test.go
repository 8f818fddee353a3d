package federation

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/ledger/ledgertest"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// BenchmarkVerify is the handler with warm keys, beside what the signature alone
// takes; ns/op of both, with -cpu 2 of two at once.
func BenchmarkVerify(b *testing.B) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("handler", func(b *testing.B) {
		handler, token := benchmarked(b, private)
		gin.SetMode(gin.ReleaseMode)
		engine := gin.New()
		engine.POST("/", func(c *gin.Context) {
			if err := handler.verify(c); err != nil {
				b.Error(err)
			}
		})
		body := `{"token":"` + token + `","audience":"https://tools.acme.example"}`
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				request := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/", strings.NewReader(body))
				engine.ServeHTTP(httptest.NewRecorder(), request)
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "verified/s")
	})
	b.Run("ecdsa.VerifyASN1", func(b *testing.B) {
		digest := sha256.Sum256([]byte("anything"))
		signature, err := ecdsa.SignASN1(rand.Reader, private, digest[:])
		if err != nil {
			b.Fatal(err)
		}
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if !ecdsa.VerifyASN1(&private.PublicKey, digest[:], signature) {
					b.Error("the signature is good")
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "verified/s")
	})
}

// benchmarked is a handler that knows one partner, and a token of that.
func benchmarked(b *testing.B, private *ecdsa.PrivateKey) (*Handler, string) {
	b.Helper()
	store := memory.New()
	registered := ledgertest.PartnerRegistered(ledgertest.NewOrganizationID())
	if _, err := store.Append(b.Context(), domain.PartnerStream(registered.PartnerID), eventstore.NoStream(),
		ledgertest.Draft(b, registered.OrganizationID, time.Now(), registered)); err != nil {
		b.Fatal(err)
	}
	index := revocation.New(store, revocation.Options{})
	if _, err := index.Sync(b.Context()); err != nil {
		b.Fatal(err)
	}
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: private.Public(), KeyID: "1"}}})
	if err != nil {
		b.Fatal(err)
	}
	handler, err := New(Handler{
		Revocations: index, Fetch: func(context.Context, string, string) ([]byte, error) { return keys, nil }, KeysTTL: time.Hour,
		Events: NewEvents(prometheus.NewRegistry()), Now: time.Now,
	})
	if err != nil {
		b.Fatal(err)
	}
	made := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": registered.Issuer, "sub": "agent-7", "aud": "https://tools.acme.example", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(),
	})
	made.Header["kid"] = "1"
	token, err := made.SignedString(private)
	if err != nil {
		b.Fatal(err)
	}
	return handler, token
}
