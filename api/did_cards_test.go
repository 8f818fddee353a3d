package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gowebpki/jcs"
)

func TestCards(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "agents:read")
	simple := s.must(t, get("", a.path()+"/did/card"), 200, "").object()
	want := map[string]any{
		"did": s.didOf(a.id), "name": a.email, "agentType": "screener", "capabilities": []any{"resume:read"}, "owner": "talent-team",
		"version": "1.0.0", "deploymentEnv": "production", "identityProvider": s.base, "issuedAt": simple["issuedAt"],
	}
	if diff := cmp.Diff(want, simple); diff != "" {
		t.Errorf("simple card (-want +got):\n%s", diff)
	}
	s.must(t, get("", a.path()+"/did/card?format=simple"), 200, "")
	s.must(t, get("", a.path()+"/did/card?format=oasf"), 400, "VALIDATION_ERROR")
	moved := s.must(t, get("", a.path()+"/card?format=a2a"), 308, "")
	if got := moved.header.Get("Location"); got != a.path()+"/did/card?format=a2a" {
		t.Errorf("moved to %q", got)
	}
	if got := s.must(t, get("", "/api/v1/.well-known/did.json"), 308, "").header.Get("Location"); got != "/.well-known/did.json" {
		t.Errorf("moved to %q", got)
	}
	public := s.cardKey(t)
	for range 64 { // a signature has one of two halves by chance
		s.verifyCard(t, s.must(t, get("", a.path()+"/did/card?format=a2a"), 200, "").body, public)
	}
	s.verifyCard(t, s.must(t, get("", "/agents/"+a.id+"/.well-known/agent-card.json"), 200, "").body, public)
}

// cardKey is the key that signs cards, as its set shows it.
func (s *scene) cardKey(tb testing.TB) *ecdsa.PublicKey {
	tb.Helper()
	key := s.must(tb, get("", "/.well-known/did-jwks.json"), 200, "").list("keys")[0]
	if key["kid"] != s.didOf("")+"#key-1" || key["alg"] != "ES256" {
		tb.Fatalf("the key is %v", key)
	}
	point := []byte{4}
	for _, member := range []string{"x", "y"} {
		text, _ := key[member].(string)
		decoded, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			tb.Fatal(err)
		}
		point = append(point, decoded...)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		tb.Fatal(err)
	}
	return public
}

// verifyCard holds an A2A card to its signature, as a client does, and to what would
// break one on the way.
func (s *scene) verifyCard(tb testing.TB, body []byte, public *ecdsa.PublicKey) {
	tb.Helper()
	var card map[string]any
	if err := json.Unmarshal(body, &card); err != nil {
		tb.Fatal(err)
	}
	signatures, _ := card["signatures"].([]any)
	signature, _ := signatures[0].(map[string]any)
	delete(card, "signatures")
	if empty := emptyMember("", card); empty != "" {
		tb.Errorf("%s says nothing, and a reader that drops it breaks the signature", empty)
	}
	text, err := json.Marshal(card)
	if err != nil {
		tb.Fatal(err)
	}
	payload, err := jcs.Transform(text)
	if err != nil {
		tb.Fatal(err)
	}
	protected, _ := signature["protected"].(string)
	encoded, _ := signature["signature"].(string)
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		tb.Fatal(err)
	}
	const size = 32
	r, v := new(big.Int).SetBytes(raw[:size]), new(big.Int).SetBytes(raw[size:])
	digest := sha256.Sum256([]byte(protected + "." + base64.RawURLEncoding.EncodeToString(payload)))
	if !ecdsa.Verify(public, digest[:], r, v) {
		tb.Error("the card's signature does not verify")
	}
	if half := new(big.Int).Rsh(elliptic.P256().Params().N, 1); v.Cmp(half) > 0 {
		tb.Error("s is in the upper half, which some libraries refuse")
	}
	header, err := base64.RawURLEncoding.DecodeString(protected)
	if err != nil {
		tb.Fatal(err)
	}
	want := map[string]any{"alg": "ES256", "typ": "JOSE", "kid": s.didOf("") + "#key-1", "jku": s.base + "/.well-known/did-jwks.json"}
	if diff := cmp.Diff(want, decoded(tb, string(header))); diff != "" {
		tb.Errorf("header (-want +got):\n%s", diff)
	}
}

// emptyMember is a path in a value where there is nothing; "" when there is none.
func emptyMember(path string, value any) string {
	switch value := value.(type) {
	case nil, bool:
		if value != true {
			return path
		}
	case string:
		if value == "" {
			return path
		}
	case []any:
		if len(value) == 0 {
			return path
		}
		for i, inside := range value {
			if found := emptyMember(fmt.Sprintf("%s[%d]", path, i), inside); found != "" {
				return found
			}
		}
	case map[string]any:
		if len(value) == 0 {
			return path
		}
		for name, inside := range value {
			if found := emptyMember(path+"."+name, inside); found != "" {
				return found
			}
		}
	}
	return ""
}
