package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

func TestAPartnersTokenIsVerified(t *testing.T) {
	t.Parallel()
	s, p, tenant := federation(t)
	a := s.must(t, verify(tenant.token, p.token(t, nil, map[string]any{"organization_id": "b-1", "aud": "https://tools.acme.example"})), 200, "")
	got := a.object()
	audience, _ := got["audience"].([]any)
	claims, _ := got["claims"].(map[string]any)
	if got["valid"] != true || got["issuer"] != p.issuer() || got["subject"] != "agent-7" || got["organizationId"] != "b-1" ||
		len(audience) != 1 || audience[0] != "https://tools.acme.example" || claims["iss"] != p.issuer() || len(got) != 6 {
		t.Errorf("verified: %s", a.body)
	}
	if !strings.Contains(string(a.body), "12345678901234567890") {
		t.Errorf("a number was changed: %s", a.body)
	}
	rs := signedBy(t, jwt.SigningMethodRS256, p.rs, rsKey, map[string]any{"typ": "at+jwt"}, p.claims(map[string]any{"aud": nil}))
	a = s.must(t, verify(tenant.token, rs), 200, "")
	if audience, is := a.object()["audience"].([]any); !is || len(audience) != 0 || a.object()["organizationId"] != nil {
		t.Errorf("without aud and organization: %s", a.body)
	}
	for _, header := range []map[string]any{{"typ": nil}, {"typ": "application/at+JWT"}, {"jku": "https://evil.example"}, {"x5u": "https://evil.example"}} {
		s.must(t, verify(tenant.token, p.token(t, header, nil)), 200, "")
	}
	skewed := map[string]any{"exp": time.Now().Add(-20 * time.Second).Unix(), "nbf": time.Now().Add(20 * time.Second).Unix()}
	s.must(t, verify(tenant.token, p.token(t, nil, skewed)), 200, "")
	named := post(tenant.token, federatedPath, map[string]any{"token": p.token(t, nil, map[string]any{"aud": []string{"a", "b"}}), "audience": "b"})
	s.must(t, named, 200, "")
	if n := p.fetches.Load(); n != 2 { // at its registration, and for the first token
		t.Errorf("the keys were fetched %d times", n)
	}
	s.mustCount(t, `agentidp_federation_events_total{event_type="verify_succeeded"} 8`)
	s.mustCount(t, `agentidp_federation_events_total{event_type="verify_refused"} 0`)
}

func TestABadTokenIsRefused(t *testing.T) {
	t.Parallel()
	s, p, tenant := federation(t)
	other := newPartner(t)
	other.publish(jose.JSONWebKey{Key: other.es.Public(), KeyID: "other-1"})
	other.register(t, s, map[string]any{"allowedOrganizations": []string{"b-1", "b-2"}})
	good := p.token(t, nil, nil)
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
	twice := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"` + other.issuer() + `","iss":"` + p.issuer() + `","sub":"a","exp":9999999999}`))
	der, err := x509.MarshalPKIXPublicKey(p.rs.Public())
	if err != nil {
		t.Fatal(err)
	}
	shared := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	mine, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	embedded := map[string]any{"jwk": jose.JSONWebKey{Key: mine.Public(), KeyID: esKey}}
	for name, c := range map[string]struct{ token, reason string }{
		"no JWT":               {"abc", "malformed"},
		"four parts":           {good + ".a", "malformed"},
		"no signature":         {parts[0] + "." + parts[1] + ".", "signature"},
		"padding":              {good + "=", "malformed"},
		"17 KiB":               {good + strings.Repeat("a", 17<<10), "malformed"},
		"two issuers":          {parts[0] + "." + twice + "." + parts[2], "malformed"},
		"alg none":             {none + "." + parts[1] + ".", "algorithm"},
		"alg none and signed":  {none + "." + parts[1] + "." + parts[2], "algorithm"},
		"HS256 by public key":  {signedBy(t, jwt.SigningMethodHS256, shared, rsKey, nil, p.claims(nil)), "algorithm"},
		"PS256":                {signedBy(t, jwt.SigningMethodPS256, p.rs, rsKey, nil, p.claims(nil)), "algorithm"},
		"RS512":                {signedBy(t, jwt.SigningMethodRS512, p.rs, rsKey, nil, p.claims(nil)), "algorithm"},
		"a key of another alg": {signedBy(t, jwt.SigningMethodRS256, p.rs, esKey, nil, p.claims(nil)), "key"},
		"an embedded key":      {signedBy(t, jwt.SigningMethodES256, mine, esKey, embedded, p.claims(nil)), "signature"},
		"a key that is gone":   {p.token(t, map[string]any{"kid": "es-0"}, nil), "key"},
		"a path as kid":        {p.token(t, map[string]any{"kid": "../../" + esKey}, nil), "key"},
		"kid is a number":      {p.token(t, map[string]any{"kid": 1}, nil), "malformed"},
		"kid is empty":         {p.token(t, map[string]any{"kid": ""}, nil), "malformed"},
		"crit":                 {p.token(t, map[string]any{"crit": []string{"exp"}}, nil), "malformed"},
		"b64":                  {p.token(t, map[string]any{"crit": []string{"b64"}, "b64": false}, nil), "malformed"},
		"an ID of a logout":    {p.token(t, map[string]any{"typ": "logout+jwt"}, nil), "malformed"},
		"a proof of DPoP":      {p.token(t, map[string]any{"typ": "dpop+jwt"}, nil), "malformed"},
		"nobody's issuer":      {p.token(t, nil, map[string]any{"iss": "https://nobody.example"}), "issuer"},
		"a shorter issuer":     {p.token(t, nil, map[string]any{"iss": strings.TrimSuffix(p.issuer(), "/")}), "issuer"},
		"another case":         {p.token(t, nil, map[string]any{"iss": strings.ToUpper(p.issuer())}), "issuer"},
		"our own token":        {tenant.token, "issuer"},
		"no issuer":            {p.token(t, nil, map[string]any{"iss": nil}), "malformed"},
		"a list of issuers":    {p.token(t, nil, map[string]any{"iss": []string{p.issuer()}}), "malformed"},
		"no subject":           {p.token(t, nil, map[string]any{"sub": nil}), "malformed"},
		"no exp":               {p.token(t, nil, map[string]any{"exp": nil}), "time"},
		"exp is a text":        {p.token(t, nil, map[string]any{"exp": "9999999999"}), "malformed"},
		"expired":              {p.token(t, nil, map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}), "time"},
		"not yet":              {p.token(t, nil, map[string]any{"nbf": time.Now().Add(2 * time.Minute).Unix()}), "time"},
		"from the future":      {p.token(t, nil, map[string]any{"iat": time.Now().Add(2 * time.Minute).Unix()}), "time"},
		"aud is a number":      {p.token(t, nil, map[string]any{"aud": 1}), "malformed"},
		"organization is one":  {p.token(t, nil, map[string]any{"organization_id": 1}), "malformed"},

		// One partner's keys are nothing to another's issuer, under whatever kid.
		"A's token as B's":       {signedBy(t, jwt.SigningMethodES256, p.es, esKey, nil, other.claims(map[string]any{"organization_id": "b-1"})), "key"},
		"A's token, B's kid":     {signedBy(t, jwt.SigningMethodES256, p.es, "other-1", nil, other.claims(map[string]any{"organization_id": "b-1"})), "signature"},
		"A's issuer, B's kid":    {signedBy(t, jwt.SigningMethodES256, other.es, "other-1", nil, p.claims(nil)), "key"},
		"an organization not of": {signedBy(t, jwt.SigningMethodES256, other.es, "other-1", nil, other.claims(map[string]any{"organization_id": "b-3"})), "organization"},
		"no organization":        {signedBy(t, jwt.SigningMethodES256, other.es, "other-1", nil, other.claims(nil)), "organization"},
	} {
		t.Run(name, func(t *testing.T) { s.mustRefuse(t, tenant.token, c.token, c.reason) })
	}
	changed := strings.Replace(good, ".", "."+base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"x"}`))+".", 1)
	s.mustRefuse(t, tenant.token, changed, "malformed")
	for _, audience := range []string{"https://tools.acme.exampl", "https://tools.acme.example/", "*"} {
		s.must(t, post(tenant.token, federatedPath, map[string]any{"token": good, "audience": audience}), 401, "UNAUTHORIZED")
	}
	empty := p.token(t, nil, map[string]any{"aud": []string{}})
	s.must(t, post(tenant.token, federatedPath, map[string]any{"token": empty, "audience": "x"}), 401, "UNAUTHORIZED")
	for _, body := range []map[string]any{{}, {"token": ""}, {"token": 1}, {"token": nil}, {"audience": "x"}, {"token": good, "audience": ""}, {"token": good, "issuer": p.issuer()}} {
		s.must(t, post(tenant.token, federatedPath, body), 400, "VALIDATION_ERROR")
	}
	s.must(t, verify(tenant.token, signedBy(t, jwt.SigningMethodES256, other.es, "other-1", nil, other.claims(map[string]any{"organization_id": "b-2"}))), 200, "")
}

func TestATokenWithoutKidIsOfTheOnlyKey(t *testing.T) {
	t.Parallel()
	s, p, tenant := federation(t)
	s.must(t, verify(tenant.token, p.token(t, map[string]any{"kid": nil}, nil)), 200, "") // one key for each algorithm
	more, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p.publish(jose.JSONWebKey{Key: p.es.Public(), KeyID: esKey}, jose.JSONWebKey{Key: more.Public(), KeyID: "es-2"})
	s.must(t, patch(s.operator, p.path(), map[string]any{"name": "has two keys"}), 200, "")
	s.mustRefuse(t, tenant.token, p.token(t, map[string]any{"kid": nil}, nil), "key")
	s.must(t, verify(tenant.token, p.token(t, nil, nil)), 200, "")
}

// What one node changes holds on the other from the answer on.
func TestEveryNodeKnowsAtOnceHowAPartnerStands(t *testing.T) {
	t.Parallel()
	s, p, tenant := federation(t)
	nodes := []*server{s.server, s.another(t)}
	token := p.token(t, nil, nil)
	ask := func(status int, reason string) {
		t.Helper()
		for _, node := range nodes {
			if status == http.StatusOK {
				node.must(t, verify(tenant.token, token), 200, "")
				continue
			}
			node.mustRefuse(t, tenant.token, token, reason)
		}
	}
	set := func(node *server, body map[string]any) {
		t.Helper()
		node.must(t, patch(s.operator, p.path(), body), 200, "")
	}
	ask(200, "")
	for i := range 10 {
		set(nodes[i%2], map[string]any{"status": "suspended"})
		ask(401, "suspended")
		set(nodes[(i+1)%2], map[string]any{"status": "active"})
		ask(200, "")
	}
	set(nodes[0], map[string]any{"allowedOrganizations": []string{"b-1"}})
	ask(401, "organization")
	set(nodes[1], map[string]any{"allowedOrganizations": []string{}})

	// Keys elsewhere: those from before count for nothing, although they are held.
	moved := newPartner(t)
	set(nodes[0], map[string]any{"jwksUri": moved.URL + "/jwks"})
	ask(401, "signature")
	set(nodes[1], map[string]any{"jwksUri": p.URL + "/jwks"})
	ask(200, "")

	nodes[1].must(t, remove(s.operator, p.path()), 204, "")
	ask(401, "issuer")
	p.register(t, s, nil)
	ask(200, "")
}

func TestAPartnersTimeRunsOut(t *testing.T) {
	t.Parallel()
	s, p, tenant := federation(t, "CREDENTIAL_SCAN_INTERVAL_MS=1000")
	token := p.token(t, nil, nil)
	end := time.Now().Add(5 * time.Second).UTC() // a busy machine is to have verified a token before
	s.must(t, patch(s.operator, p.path(), map[string]any{"expiresAt": end.Format(time.RFC3339Nano)}), 200, "")
	s.must(t, verify(tenant.token, token), 200, "")
	time.Sleep(time.Until(end))
	s.mustRefuse(t, tenant.token, token, "expired")
	if got := s.must(t, get(s.operator, p.path()), 200, ""); got.text("status") != "expired" {
		t.Errorf("it reads %s", got.body)
	}
	if got := s.must(t, get(s.operator, partnersPath), 200, ""); texts(got.list("data"), "status")[0] != "expired" {
		t.Errorf("it is listed as %s", got.body)
	}
	s.must(t, patch(s.operator, p.path(), map[string]any{"status": "active"}), 409, "CONFLICT")
	recorded := func() float64 {
		return s.must(t, get(s.operator, "/api/v1/audit?action=federation.partner_expired"), 200, "").number("total")
	}
	untilSoon := func() error {
		if n := recorded(); n != 1 {
			return fmt.Errorf("%v times on record", n)
		}
		return nil
	}
	until(t, untilSoon)
	time.Sleep(2500 * time.Millisecond)
	if n := recorded(); n != 1 {
		t.Errorf("it is on record %v times", n)
	}
	s.mustCount(t, `agentidp_federation_events_total{event_type="partner_expired"} 1`)
	s.must(t, patch(s.operator, p.path(), map[string]any{"expiresAt": nil}), 200, "")
	s.must(t, verify(tenant.token, token), 200, "")
}

func TestAPartnerRotatesItsKeys(t *testing.T) {
	t.Parallel()
	s, p, tenant := federation(t)
	s.must(t, verify(tenant.token, p.token(t, nil, nil)), 200, "")
	fresh, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rotated := signedBy(t, jwt.SigningMethodES256, fresh, "es-2", nil, p.claims(nil))
	p.publish(jose.JSONWebKey{Key: fresh.Public(), KeyID: "es-2"}, jose.JSONWebKey{Key: p.es.Public(), KeyID: esKey})
	before := p.fetches.Load()
	parallel(t, 16, func(int) error {
		_, err := s.want(verify(tenant.token, rotated), 200, "")
		return err
	})
	for i := range 20 {
		s.mustRefuse(t, tenant.token, p.token(t, map[string]any{"kid": fmt.Sprint("unknown-", i)}, nil), "key")
	}
	if n := p.fetches.Load() - before; n != 1 {
		t.Errorf("the keys were fetched %d times for keys that were not there, want once in 30 s", n)
	}
}

func TestAPartnerWhoseKeysCannotBeHad(t *testing.T) {
	t.Parallel()
	s, p, tenant := federation(t, "FEDERATION_JWKS_CACHE_TTL_SECONDS=1")
	token := p.token(t, nil, nil)
	s.must(t, verify(tenant.token, token), 200, "")
	p.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	time.Sleep(1100 * time.Millisecond)
	before := p.fetches.Load()
	parallel(t, 8, func(int) error {
		_, err := s.want(verify(tenant.token, token), 503, "SERVICE_UNAVAILABLE")
		return err
	})
	if n := p.fetches.Load() - before; n != 1 {
		t.Errorf("the keys were asked for %d times within 5 s", n)
	}
	s.mustRefuse(t, tenant.token, p.token(t, nil, map[string]any{"iss": "https://nobody.example"}), "issuer")
	s.mustCount(t, `agentidp_federation_events_total{event_type="verify_unavailable"} 8`)
}

// Of many who claim an issuer at once, over two nodes, one gets it.
func TestAnIssuerIsRegisteredOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t, "OUTBOUND_ALLOW=127.0.0.0/8", "RATE_LIMIT_MAX_REQUESTS=0")
	p := newPartner(t)
	nodes := []*server{s.server, s.another(t)}
	statuses := make([]int, 12)
	parallel(t, len(statuses), func(i int) error {
		a, err := nodes[i%2].do(post(s.operator, partnersPath, p.body(nil)))
		statuses[i] = a.status
		return err
	})
	slices.Sort(statuses)
	if statuses[0] != 201 || statuses[1] != 409 || statuses[11] != 409 {
		t.Errorf("answered %v, want one 201 and 409 for the rest", statuses)
	}
	if n := s.must(t, get(s.operator, partnersPath), 200, "").number("total"); n != 1 {
		t.Errorf("%v partners", n)
	}
	repeated := post(s.operator, partnersPath, newPartner(t).body(nil)).with("Idempotency-Key", unique())
	one, again := s.must(t, repeated, 201, ""), s.must(t, repeated, 201, "")
	if one.text("partnerId") != again.text("partnerId") {
		t.Errorf("repeated: %s, then %s", one.body, again.body)
	}
}
