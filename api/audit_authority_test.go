package api_test

import (
	"net/http"
	"net/url"
	"slices"
	"testing"
)

// issuanceOf is the token.issued event of an access token.
func (p *pair) issuanceOf(tb testing.TB, token string) string {
	tb.Helper()
	introspected := p.must(tb, request{method: http.MethodPost, path: "/oauth2/introspect", token: p.operator, form: url.Values{"token": {token}}}, 200, "")
	found := p.must(tb, get(p.operator, "/api/v1/audit?action=token.issued&limit=100&organizationId="+p.organization), 200, "")
	for _, e := range found.list("data") {
		if e["position"] == introspected.object()["ledger"] {
			return e["eventId"].(string)
		}
	}
	tb.Fatalf("no token.issued event at position %v", introspected.object()["ledger"])
	return ""
}

// What is done with a token, lent or one's own, leads to the issuance of that
// token, and through it to whoever lent the authority first.
func TestTheTrailSaysByWhoseAuthority(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	lender := p.agent(t, p.organization, "agents:read agents:write audit:read")
	ofLender := p.token(t, lender, "")
	lent := p.delegate(t, ofLender, onward(p.delegatee, "agents:read agents:write", 1))
	acting := p.exchange(t, p.ofDelegatee, lent, "")
	below := delegationWish(p.third, "agents:read agents:write")
	below["ttlSeconds"] = 600
	lentOn := p.delegate(t, acting, below)
	actingBelow := p.exchange(t, p.ofThird, lentOn, "")

	const description = "touched"
	change := func(token string) {
		p.must(t, patch(token, p.delegator.path(), map[string]any{"description": description + token[len(token)-9:]}), 200, "")
	}
	for name, test := range map[string]struct {
		token, actor           string
		onBehalfOf, delegation any
	}{
		"with its own token":       {ofLender, lender.id, nil, nil},
		"with what it was lent":    {acting, p.delegatee.id, lender.id, lent.chain},
		"with what was lent on":    {actingBelow, p.third.id, lender.id, lentOn.chain},
		"the operator by a tenant": {p.operator, p.root.id, nil, nil},
	} {
		change(test.token)
		e := p.newest(t, p.operator, p.delegator, "agent.updated")
		actor, _ := e["actor"].(map[string]any)
		if actor["id"] != test.actor || e["onBehalfOf"] != test.onBehalfOf || e["delegation"] != test.delegation {
			t.Errorf("%s: by %v, on behalf of %v, delegation %v", name, actor["id"], e["onBehalfOf"], e["delegation"])
		}
		if test.token == p.operator {
			if e["causation"] == nil {
				t.Errorf("%s: no causation", name)
			}
			continue
		}
		if want := p.issuanceOf(t, test.token); e["causation"] != want {
			t.Errorf("%s: caused by %v, want %s", name, e["causation"], want)
		}
		single := p.must(t, get(p.operator, "/api/v1/audit/"+e["eventId"].(string)), 200, "").object()
		if single["onBehalfOf"] != test.onBehalfOf || single["delegation"] != test.delegation || single["causation"] != e["causation"] {
			t.Errorf("%s, by itself: %v", name, single)
		}
	}

	exchanged := p.must(t, get(p.operator, "/api/v1/audit/"+p.issuanceOf(t, acting)), 200, "").object()
	if exchanged["onBehalfOf"] != lender.id || exchanged["delegation"] != lent.chain || exchanged["causation"] != p.issuanceOf(t, p.ofDelegatee) {
		t.Errorf("the exchange: %v", exchanged)
	}
	own := p.must(t, get(p.operator, "/api/v1/audit/"+p.issuanceOf(t, p.ofDelegatee)), 200, "").object()
	if own["causation"] != nil || own["onBehalfOf"] != nil {
		t.Errorf("a token got by a secret: %v", own)
	}
	made := p.newest(t, p.operator, p.delegatee, "delegation.created")
	if made["onBehalfOf"] != lender.id || made["delegation"] != lent.chain {
		t.Errorf("lending on: %v", made)
	}

	actions := func(token, query string) []string {
		got := p.must(t, get(token, "/api/v1/audit?limit=100&"+query), 200, "")
		if int(got.number("total")) != len(got.list("data")) {
			t.Errorf("%s: total %v of %d", query, got.number("total"), len(got.list("data")))
		}
		return texts(got.list("data"), "action")
	}
	for query, want := range map[string][]string{
		"actor=" + p.third.id:                                {"agent.updated", "token.issued", "token.issued"},
		"actor=" + p.third.id + "&action=token.issued":       {"token.issued", "token.issued"},
		"actor=" + p.third.id + "&agentId=" + p.delegator.id: {"agent.updated"},
		"onBehalfOf=" + lender.id:                            {"agent.updated", "agent.updated", "delegation.created", "token.issued", "token.issued"},
		"onBehalfOf=" + p.third.id:                           nil,
		"actor=system":                                       nil,
		"actor=agent&agentId=" + p.third.id:                  {"token.issued", "token.issued", "credential.generated", "did.created", "agent.created"},
	} {
		for name, token := range map[string]string{"a tenant": p.ofDelegator, "the operator, without an organization": p.operator} {
			if token == p.operator && query == "actor=system" {
				continue
			}
			got := actions(token, query)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s asks for %s: %v, want %v", name, query, got, want)
			}
		}
	}
	stranger := meet(t, p.scene)
	if got := actions(stranger.ofDelegator, "onBehalfOf="+lender.id); len(got) != 0 {
		t.Errorf("another organization sees %v", got)
	}
	p.must(t, get(p.ofDelegator, "/api/v1/audit?actor=somebody"), 400, "VALIDATION_ERROR")
}
