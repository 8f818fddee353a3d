package clientauth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
)

// withDeadKeys is an agent with a usable key and so many that were revoked, as
// its events make it and as the ledger keeps it.
func withDeadKeys(tb testing.TB, dead int) domain.Agent {
	tb.Helper()
	var agent domain.Agent
	generate := func() domain.CredentialID {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			tb.Fatal(err)
		}
		jwk, err := json.Marshal(jose.JSONWebKey{Key: key.Public()})
		if err != nil {
			tb.Fatal(err)
		}
		id := domain.CredentialID{UUID: ledger.NewID()}
		agent = agent.Evolve(domain.CredentialGenerated{CredentialID: id, Kind: domain.KeyCredential, PublicKey: jwk}, time.Now())
		return id
	}
	for range dead {
		agent = agent.Evolve(domain.CredentialRevoked{CredentialID: generate()}, time.Now())
	}
	generate()
	return agent.WithoutDead()
}

const thisServer = "https://id.example.com"

// aBadAssertion is signed with a key that nobody registered.
func aBadAssertion(tb testing.TB) assertion {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	id := ledger.NewID().String()
	text, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": id, "sub": id, "aud": thisServer, "jti": "1", "exp": time.Now().Add(time.Minute).Unix(),
	}).SignedString(key)
	if err != nil {
		tb.Fatal(err)
	}
	claimed, err := readAssertion(text, []string{thisServer}, time.Now())
	if err != nil {
		tb.Fatal(err)
	}
	return claimed
}

func clientsOfAssertions(tb testing.TB) *Clients {
	tb.Helper()
	keys, err := lru.New[string, jose.JSONWebKey](16)
	if err != nil {
		tb.Fatal(err)
	}
	return &Clients{now: time.Now, clientKeys: keys}
}

// No key of the past is tried, whatever the assertion names.
func TestDeadKeysAreNeverTried(t *testing.T) {
	cs := clientsOfAssertions(t)
	agent := withDeadKeys(t, 50)
	for _, keyID := range []string{"", "any"} {
		if candidates, refusal := cs.candidates(agent, keyID); len(candidates) != 1 || refusal != domain.AuthBadAssertion {
			t.Errorf("kid %q: %d candidates, %s; want the one that is usable", keyID, len(candidates), refusal)
		}
	}
	if _, err := cs.signingCredential(agent, aBadAssertion(t)); err == nil {
		t.Error("a key that nobody registered signs for the agent")
	}
}

// BenchmarkBadAssertion measures what an assertion costs that nobody signed,
// against an agent with 1,000 dead keys, and how many times that is of what it
// costs against an agent with none.
func BenchmarkBadAssertion(b *testing.B) {
	const deadKeys = 1000
	cs := clientsOfAssertions(b)
	bad := aBadAssertion(b)
	fresh, old := withDeadKeys(b, 0), withDeadKeys(b, deadKeys)
	var none, many time.Duration
	for b.Loop() {
		start := time.Now()
		_, _ = cs.signingCredential(fresh, bad)
		between := time.Now()
		_, _ = cs.signingCredential(old, bad)
		none, many = none+between.Sub(start), many+time.Since(between)
	}
	b.ReportMetric(float64(none.Microseconds())/float64(b.N), "µs-none")
	b.ReportMetric(float64(many.Microseconds())/float64(b.N), "µs-1000-dead")
	b.ReportMetric(float64(many)/float64(none), "ratio")
}
