package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/sentryagent/agentidp/internal/rounds"
)

// Routine rotation may keep what was lent with the credential; the token that
// lent it is dead all the same.
func TestRotationThatKeepsDelegations(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	for _, path := range []string{"/credentials/" + p.delegator.credential + "/rotate", "/credentials/rotate"} {
		own := p.ofDelegator
		l := p.delegate(t, own, delegationWish(p.delegatee, "agents:read audit:read"))
		token := p.exchange(t, p.ofDelegatee, l, "")
		p.must(t, post(p.operator, p.delegator.path()+path, map[string]any{"delegations": "all"}), 400, "VALIDATION_ERROR")
		rotated := p.must(t, post(p.operator, p.delegator.path()+path, map[string]any{"delegations": "keep"}), 200, "")
		p.delegator.secret = rotated.text("clientSecret")
		p.ofDelegator = p.token(t, p.delegator, "")
		if err := p.mustDie(own); err != nil {
			t.Error(err)
		}
		p.must(t, get(token, "/api/v1/audit"), 200, "")
		p.must(t, get(p.exchange(t, p.ofDelegatee, l, ""), "/api/v1/audit"), 200, "")
		if got := p.must(t, verification(p.ofThird, l.token), 200, "").object(); got["valid"] != true || got["revokedAt"] != nil {
			t.Errorf("after a rotation that keeps it: %v", got)
		}
		p.must(t, post(p.operator, p.delegator.path()+path, map[string]any{}), 200, "")
		if got := p.must(t, verification(p.ofThird, l.token), 200, "").object(); got["valid"] != false || got["revokedAt"] == nil {
			t.Errorf("after one that does not: %v", got)
		}
		_, p.delegator.secret, _ = p.newCredential(p.operator, p.delegator)
		p.ofDelegator = p.token(t, p.delegator, "")
	}
}

// A thief's token that lends while its credential is rotated on another node
// leaves nothing behind that can be used there.
func TestNoDelegationOutlivesARotationItRacedWith(t *testing.T) {
	t.Parallel()
	tries := rounds.Of(200)
	p := newPair(t)
	nodes := []*server{p.server, p.another(t, unlimited...)}
	raced := 0
	for round := range tries {
		one, other := nodes[round%2], nodes[(round+1)%2]
		stolen := p.token(t, p.delegator, "")
		made := make(chan lent, 1)
		go func() {
			a, _ := other.do(post(stolen, delegatePath, delegationWish(p.delegatee, "agents:read")))
			made <- lent{chain: a.text("chainId"), token: a.text("delegationToken")}
		}()
		rotated := one.must(t, post(p.operator, p.delegator.path()+"/credentials/rotate", map[string]any{}), 200, "")
		p.delegator.secret = rotated.text("clientSecret")
		l := <-made
		if l.token == "" {
			continue // refused: the rotation was first
		}
		raced++
		for _, s := range nodes {
			if got := s.must(t, verification(p.operator, l.token), 200, "").object()["valid"]; got != false {
				t.Fatalf("round %d: a delegation by a token of before the rotation is valid: %v", round, got)
			}
		}
		other.must(t, exchangeRequest(p.ofDelegatee, l.token, ""), 400, "invalid_request")
	}
	live := p.must(t, get(p.token(t, p.delegator, ""), "/api/v1/delegations?status=active"), 200, "")
	if live.number("total") != 0 {
		t.Errorf("%v delegations are listed as active, want none", live.number("total"))
	}
	t.Logf("%d of %d lent before the rotation", raced, tries)
}

func TestListDelegations(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	admin := p.agent(t, p.organization, "agents:read")
	p.must(t, post(p.operator, "/api/v1/organizations/"+p.organization+"/members", map[string]any{"agentId": admin.id, "role": "admin"}), 201, "")
	ofAdmin := p.token(t, admin, "")
	stranger := meet(t, p.scene)

	first := p.delegate(t, p.ofDelegator, onward(p.delegatee, "agents:read", 1))
	lentToken := p.exchange(t, p.ofDelegatee, first, "")
	wish := delegationWish(p.third, "agents:read")
	wish["ttlSeconds"] = 600
	second := p.delegate(t, lentToken, wish) // below the first
	back := p.delegate(t, p.ofThird, delegationWish(p.delegator, "agents:read"))
	foreign := stranger.delegate(t, stranger.ofDelegator, delegationWish(stranger.delegatee, "agents:read"))

	const path = "/api/v1/delegations"
	for name, test := range map[string]struct {
		token, query string
		want         []lent
	}{
		"own":                     {p.ofDelegator, "", []lent{back, first}},
		"given":                   {p.ofDelegator, "?role=delegator", []lent{first}},
		"received":                {p.ofDelegator, "?role=delegatee", []lent{back}},
		"named by itself":         {p.ofDelegator, "?role=delegatee&agentId=" + p.delegator.id, []lent{back}},
		"of one with both parts":  {p.ofDelegatee, "", []lent{second, first}},
		"with lent authority":     {lentToken, "", []lent{second, first}},
		"lent on with that":       {lentToken, "?role=delegator", []lent{second}},
		"all, for an admin":       {ofAdmin, "", []lent{back, second, first}},
		"one's, for an admin":     {ofAdmin, "?agentId=" + p.third.id, []lent{back, second}},
		"an admin's own":          {ofAdmin, "?role=delegator", nil},
		"all, for the operator":   {p.operator, "?organizationId=" + p.organization, []lent{back, second, first}},
		"one's, for the operator": {p.operator, "?agentId=" + p.third.id, []lent{back, second}},
		"active":                  {ofAdmin, "?status=active", []lent{back, second, first}},
		"revoked":                 {ofAdmin, "?status=revoked", nil},
		"a page":                  {ofAdmin, "?page=2&limit=1", []lent{second}},
		"another organization's":  {stranger.ofDelegator, "", []lent{foreign}},
	} {
		got := p.must(t, get(test.token, path+test.query), 200, "")
		var want []string
		for _, l := range test.want {
			want = append(want, l.chain)
		}
		if chains := texts(got.list("data"), "chainId"); fmt.Sprint(chains) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", name, chains, want)
		}
	}
	item := p.must(t, get(p.ofThird, path+"?role=delegatee"), 200, "").list("data")[0]
	if item["parentChainId"] != first.chain || item["status"] != "active" || item["revokedAt"] != nil || item["ttlSeconds"] != 600.0 ||
		item["tenantId"] != p.organization || item["delegationToken"] != nil || item["signature"] != nil {
		t.Errorf("an item is %v", item)
	}
	for query, token := range map[string]string{
		"?agentId=" + p.third.id:                         p.ofDelegator,
		"?organizationId=" + stranger.organization:       ofAdmin,
		"?agentId=" + stranger.third.id:                  p.ofThird,
		"?agentId=" + p.delegator.id + "&role=delegatee": lentToken,
		"?organizationId=" + p.root.organization:         p.ofThird,
	} {
		p.must(t, get(token, path+query), 403, "AUTHORIZATION_ERROR")
	}
	p.must(t, get(p.ofThird, path+"?status=dead"), 400, "VALIDATION_ERROR")
	p.must(t, get("", path), 401, "UNAUTHORIZED")

	p.must(t, remove(p.operator, p.delegator.path()+"/credentials/"+p.delegator.credential), 204, "")
	got := p.must(t, get(ofAdmin, path+"?status=revoked"), 200, "")
	if chains := texts(got.list("data"), "chainId"); fmt.Sprint(chains) != fmt.Sprint([]string{second.chain, first.chain}) {
		t.Errorf("revoked with the credential: %v", chains)
	}
	for _, item := range got.list("data") {
		if item["revokedAt"] == nil || item["status"] != "revoked" {
			t.Errorf("an item that ended with the credential: %v", item)
		}
	}
	if left := p.must(t, get(ofAdmin, path+"?status=active"), 200, "").number("total"); left != 1 {
		t.Errorf("%v are active, want the one that rests on another credential", left)
	}
}

// RFC 7009 on a delegation token ends the delegation; RFC 7662 tells what the
// token is good for, to those who may know.
func TestRevocationAndIntrospectionOfDelegationTokens(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	stranger := meet(t, p.scene)
	first := p.delegate(t, p.ofDelegator, onward(p.delegatee, "agents:read audit:read", 1))
	below := delegationWish(p.third, "audit:read")
	below["ttlSeconds"] = 600
	second := p.delegate(t, p.exchange(t, p.ofDelegatee, first, ""), below)
	form := func(path string, a *agent, bearer string, l lent) request {
		return request{method: http.MethodPost, path: path, basic: a, token: bearer, form: url.Values{"token": {l.token}, "token_type_hint": {"delegation"}}}
	}
	introspect := func(l lent) map[string]any {
		return p.must(t, form("/oauth2/introspect", nil, p.ofDelegator, l), 200, "").object()
	}
	got := introspect(first)
	mayAct, _ := got["may_act"].(map[string]any)
	if got["active"] != true || got["sub"] != p.delegator.id || got["client_id"] != p.delegator.id || mayAct["sub"] != p.delegatee.id || got["act"] != nil ||
		got["scope"] != "agents:read audit:read" || got["token_type"] != "N_A" || got["delegation"] != first.chain || got["organization_id"] != p.organization ||
		number(got["exp"])-number(got["iat"]) != 3600 {
		t.Errorf("introspected: %v", got)
	}
	got = introspect(second)
	mayAct, _ = got["may_act"].(map[string]any)
	act, _ := got["act"].(map[string]any)
	if got["sub"] != p.delegator.id || got["client_id"] != p.delegatee.id || mayAct["sub"] != p.third.id || act["sub"] != p.delegatee.id || got["scope"] != "audit:read" {
		t.Errorf("introspected, lent on: %v", got)
	}
	for who, r := range map[string]request{
		"a stranger": form("/oauth2/introspect", nil, stranger.ofDelegator, first),
		// Without tokens:read a client knows of what it gave or received.
		"one with no part": form("/oauth2/introspect", &p.third, "", first),
		"tampered":         form("/oauth2/introspect", nil, p.ofDelegator, lent{token: first.token[:len(first.token)-2] + "AA"}),
	} {
		if got := p.must(t, r, 200, "").object(); got["active"] != false || len(got) != 1 {
			t.Errorf("%s: %v", who, got)
		}
	}

	if got := p.must(t, form("/oauth2/introspect", &p.third, "", second), 200, "").object(); got["active"] != true {
		t.Errorf("introspected by its delegatee: %v", got)
	}

	p.must(t, form("/oauth2/revoke", &p.delegatee, "", first), 400, "unauthorized_client")
	p.must(t, form("/oauth2/revoke", &stranger.delegator, "", first), 400, "unauthorized_client")
	p.must(t, form("/oauth2/revoke", &p.third, "", second), 400, "unauthorized_client")
	if introspect(first)["active"] != true {
		t.Error("others have ended it")
	}
	for _, l := range []lent{second, first, first} {
		client := &p.delegator
		if l == second {
			client = &p.delegatee
		}
		p.must(t, form("/api/v1/token/revoke", client, "", l), 200, "")
		if got := introspect(l); got["active"] != false || len(got) != 1 {
			t.Errorf("after its revocation: %v", got)
		}
		p.must(t, exchangeRequest(p.ofDelegatee, l.token, ""), 400, "invalid_request")
		if got := p.must(t, verification(p.ofThird, l.token), 200, "").object(); got["valid"] != false || got["revokedAt"] == nil {
			t.Errorf("verified after its revocation: %v", got)
		}
	}
}

func number(v any) float64 { n, _ := v.(float64); return n }
