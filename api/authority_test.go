package api_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/server/upkeep"
)

func TestMembersAreListedChangedAndRemoved(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	n := s.tenant(t)
	members := "/api/v1/organizations/" + n.organization + "/members"
	plain, second := s.agent(t, n.organization, "agents:read"), s.agent(t, n.organization, tenantScopes)
	s.must(t, post(s.operator, members, map[string]any{"agentId": n.id, "role": "admin"}), 201, "")
	s.must(t, post(s.operator, members, map[string]any{"agentId": plain.id, "role": "member"}), 201, "")
	role := func(name string) map[string]any { return map[string]any{"role": name} }

	list := s.must(t, get(n.token, members), 200, "")
	if got := texts(list.list("data"), "agentId"); !slices.Equal(got, []string{plain.id, n.id}) || list.number("total") != 2 {
		t.Errorf("members %s", list.body)
	}
	if got := texts(s.must(t, get(s.operator, members+"?limit=1&page=2"), 200, "").list("data"), "role"); !slices.Equal(got, []string{"admin"}) {
		t.Errorf("page 2: roles %v", got)
	}

	// The last admin stays, whatever is tried and by whom.
	for _, token := range []string{n.token, s.operator} {
		s.must(t, put(token, members+"/"+n.id, role("member")), 409, "CONFLICT")
		s.must(t, remove(token, members+"/"+n.id), 409, "CONFLICT")
		s.must(t, remove(token, n.path()), 409, "CONFLICT")
		s.must(t, patch(token, n.path(), map[string]any{"status": "decommissioned"}), 409, "CONFLICT")
	}
	suspend, back := map[string]any{"status": "suspended"}, map[string]any{"status": "active"}
	s.must(t, patch(n.token, n.path(), suspend), 409, "CONFLICT")

	// Neither a plain member, nor an admin by a narrow token, touches roles.
	plainToken, narrow := s.token(t, plain, ""), s.token(t, n.agent, "openid")
	for name, token := range map[string]string{"a member": plainToken, "an admin's openid token": narrow} {
		for _, r := range []request{
			get(token, members), put(token, members+"/"+plain.id, role("admin")), remove(token, members+"/"+plain.id),
			patch(token, "/api/v1/organizations/"+n.organization, map[string]any{"name": "Mallory"}),
			get(token, "/api/v1/organizations/"+n.organization),
		} {
			if _, err := s.want(r, 403, "INSUFFICIENT_SCOPE"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}

	changed := s.must(t, put(n.token, members+"/"+plain.id, role("admin")), 200, "")
	if changed.text("role") != "admin" || changed.text("agentId") != plain.id || changed.header.Get("X-Ledger-Position") == "" {
		t.Errorf("the role became %s", changed.body)
	}
	s.must(t, put(n.token, members+"/"+plain.id, role("admin")), 200, "")
	s.must(t, put(n.token, members+"/"+plain.id, role("owner")), 400, "VALIDATION_ERROR")
	s.must(t, put(n.token, members+"/"+n.id, role("member")), 200, "")
	s.must(t, get(n.token, members), 403, "INSUFFICIENT_SCOPE") // an admin no more
	s.must(t, put(plainToken, members+"/"+n.id, role("admin")), 200, "")
	s.must(t, remove(n.token, members+"/"+plain.id), 204, "")
	s.must(t, remove(n.token, members+"/"+plain.id), 403, "AUTHORIZATION_ERROR")
	s.must(t, remove(s.operator, members+"/"+plain.id), 404, "MEMBER_NOT_FOUND")
	s.must(t, put(s.operator, members+"/"+second.id, role("admin")), 404, "MEMBER_NOT_FOUND")
	s.must(t, get(s.operator, "/api/v1/agents/"+plain.id), 200, "")

	// Decommissioning takes the role along.
	s.must(t, post(s.operator, members, map[string]any{"agentId": second.id, "role": "admin"}), 201, "")
	s.must(t, remove(n.token, n.path()), 204, "")
	list = s.must(t, get(s.operator, members), 200, "")
	if got := texts(list.list("data"), "agentId"); !slices.Equal(got, []string{second.id}) {
		t.Errorf("members %s, want the one that is left", list.body)
	}
	for action, want := range map[string]float64{"organization.member_role_changed": 3, "organization.member_removed": 2} {
		trail := s.must(t, get(s.operator, "/api/v1/audit?organizationId="+n.organization+"&action="+action), 200, "")
		if trail.number("total") != want {
			t.Errorf("%v of %s, want %v", trail.number("total"), action, want)
		}
	}

	// An organization can still be ended: its last admin goes when it is suspended.
	org := "/api/v1/organizations/" + n.organization
	s.must(t, remove(s.operator, second.path()), 409, "CONFLICT")

	// The operator may stop it. It counts again when it is back.
	s.must(t, patch(s.operator, second.path(), suspend), 200, "")
	s.must(t, remove(s.operator, members+"/"+second.id), 409, "CONFLICT")
	s.must(t, patch(s.operator, second.path(), back), 200, "")
	s.must(t, patch(s.token(t, second, ""), second.path(), suspend), 409, "CONFLICT")
	trail := s.must(t, get(s.operator, "/api/v1/audit?organizationId="+n.organization+"&action=organization.member_suspended"), 200, "")
	if trail.number("total") != 1 {
		t.Errorf("%v suspensions of members in the trail, want 1", trail.number("total"))
	}
	s.must(t, patch(s.operator, org, map[string]any{"status": "suspended"}), 200, "")
	for _, a := range []agent{second, plain} {
		s.must(t, remove(s.operator, a.path()), 204, "")
	}
	s.must(t, remove(s.operator, org), 204, "")
}

// Who is refused because of its token, and not because of its agent, hears so: at
// every place where being the whole agent, or an admin, would have been enough.
func TestANarrowedOrLentTokenHearsWhy(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	n := s.tenant(t)
	other := s.agent(t, n.organization, tenantScopes)
	org := "/api/v1/organizations/" + n.organization
	for _, id := range []string{n.id, other.id} {
		s.must(t, post(s.operator, org+"/members", map[string]any{"agentId": id, "role": "admin"}), 201, "")
	}
	plain := s.agent(t, n.organization, tenantScopes)
	narrow, unhelped := s.token(t, n.agent, "agents:write"), s.token(t, plain, "openid")
	for name, r := range map[string]request{
		"read the organization": get(narrow, org), "rename it": patch(narrow, org, map[string]any{"name": "New"}),
		"list members": get(narrow, org+"/members"), "change a role": put(narrow, org+"/members/"+other.id, map[string]any{"role": "member"}),
		"remove a member": remove(narrow, org+"/members/"+other.id), "suspend an admin": patch(narrow, other.path(), map[string]any{"status": "suspended"}),
		"decommission an agent": remove(narrow, plain.path()), "its own credentials": get(s.token(t, n.agent, "openid"), n.path()+"/credentials"),
	} {
		got, err := s.do(r)
		if err != nil || got.status != 403 {
			t.Errorf("%s: %d %s, %v; want 403", name, got.status, got.body, err)
			continue
		}
		if message := got.text("message"); !strings.Contains(message, "narrowed") || !strings.Contains(message, "agents:read") ||
			!strings.Contains(string(got.body), `"lacks":["agents:read"`) {
			t.Errorf("%s: %s; want it to say that the token was narrowed, and what it lacks", name, got.body)
		}
		if challenge := got.header.Get("WWW-Authenticate"); strings.Contains(challenge, "admin:orgs") {
			t.Errorf("%s: the challenge names a scope that the agent never gets: %s", name, challenge)
		}
	}
	for name, r := range map[string]request{
		"a member that is no admin": get(unhelped, org+"/members"), "an admin where only the operator is let in": get(narrow, "/api/v1/organizations"),
	} {
		if got, err := s.do(r); err != nil || got.status != 403 || strings.Contains(string(got.body), "narrowed") {
			t.Errorf("%s: %d %s, %v; want 403 and nothing of the token", name, got.status, got.body, err)
		}
	}
}

// What a narrow token must not become: the steps of the finding, one by one.
func TestANarrowTokenMakesNoCredential(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	n := s.tenant(t)
	a := s.agent(t, n.organization, "agents:read agents:write audit:read")
	for _, narrow := range []string{"agents:read", "agents:write", "agents:read agents:write"} {
		token := s.token(t, a, narrow)
		for _, r := range []request{
			post(token, a.path()+"/credentials", map[string]any{}),
			post(token, a.path()+"/credentials/rotate", map[string]any{}),
			post(token, a.path()+"/credentials/"+a.credential+"/rotate", map[string]any{}),
			remove(token, a.path()+"/credentials/"+a.credential),
		} {
			if got, err := s.do(r); err != nil || got.status != 403 {
				t.Errorf("with %q: %s %s: %d %s, %v; want 403", narrow, r.method, r.path, got.status, got.body, err)
			}
		}
	}
	for _, r := range []request{get(s.token(t, a, "audit:read"), a.path()+"/credentials")} {
		s.must(t, r, 403, "INSUFFICIENT_SCOPE")
	}
	whole := s.token(t, a, "")
	s.must(t, post(whole, a.path()+"/credentials", map[string]any{}), 201, "")
	s.must(t, get(whole, a.path()+"/credentials"), 200, "")

	// The operator, without asking for admin:orgs.
	for _, scope := range []string{"openid", ""} {
		token := s.token(t, s.root, scope)
		r := post(token, s.root.path()+"/credentials", map[string]any{})
		if got, err := s.do(r); err != nil || got.status != 403 {
			t.Errorf("the operator with %q: %d %s, %v; want 403", scope, got.status, got.body, err)
		}
	}
	for _, r := range []request{
		remove(s.operator, s.root.path()), patch(s.operator, s.root.path(), map[string]any{"status": "suspended"}),
		patch(s.operator, s.root.path(), map[string]any{"scopes": []string{"agents:read"}}),
		remove(s.operator, "/api/v1/organizations/"+s.root.organization),
		patch(s.operator, "/api/v1/organizations/"+s.root.organization, map[string]any{"status": "suspended"}),
	} {
		s.must(t, r, 409, "CONFLICT")
	}
}

// An agent that may do less than an admin takes over no admin.
func TestAgentsWriteTakesOverNoAdmin(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	n := s.tenant(t)
	admin, x := s.agent(t, n.organization, "agents:read"), s.agent(t, n.organization, "agents:read agents:write")
	s.must(t, post(s.operator, "/api/v1/organizations/"+n.organization+"/members", map[string]any{"agentId": admin.id, "role": "admin"}), 201, "")
	token := s.token(t, x, "")
	for _, r := range []request{
		post(token, admin.path()+"/credentials", map[string]any{}),
		post(token, admin.path()+"/credentials/rotate", map[string]any{}),
		remove(token, admin.path()+"/credentials/"+admin.credential),
		patch(token, admin.path(), map[string]any{"scopes": []string{}}),
		patch(token, admin.path(), map[string]any{"status": "suspended"}),
		patch(token, admin.path(), map[string]any{"status": "decommissioned"}),
		remove(token, admin.path()),
	} {
		if _, err := s.want(r, 403, "AUTHORIZATION_ERROR"); err != nil {
			t.Error(err)
		}
	}
	s.must(t, patch(token, admin.path(), map[string]any{"owner": "somebody"}), 200, "")
	s.must(t, post(token, x.path()+"/credentials", map[string]any{}), 201, "")
}

// A repeated Idempotency-Key answers a token with the same authority, and with a
// secret one of the same credential.
func TestARepeatedKeyAnswersTheSameAuthorityOnly(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	n := s.tenant(t)
	y := s.agent(t, n.organization, "audit:read")
	key := unique()
	generate := func(token string) request {
		return post(token, y.path()+"/credentials", map[string]any{}).with(keyHeader, key)
	}
	made := s.must(t, generate(n.token), 201, "")
	again := s.must(t, generate(s.token(t, n.agent, "")), 201, "")
	if made.text("clientSecret") == "" || made.text("clientSecret") != again.text("clientSecret") {
		t.Errorf("another token of the same credential and scopes: %s, want %s", again.body, made.body)
	}
	s.must(t, generate(s.token(t, n.agent, "agents:write")), 422, "IDEMPOTENCY_KEY_REUSED")
	other := n.agent
	var err error
	if other.credential, other.secret, err = s.newCredential(s.operator, n.agent); err != nil {
		t.Fatal(err)
	}
	s.must(t, generate(s.token(t, other, "")), 422, "IDEMPOTENCY_KEY_REUSED")

	// Without a secret in it the answer is for every credential, not for fewer scopes.
	body, keyed := newAgentBody("", "agents:read"), unique()
	register := func(token string) request { return post(token, "/api/v1/agents", body).with(keyHeader, keyed) }
	first := s.must(t, register(n.token), 201, "")
	if second := s.must(t, register(s.token(t, other, "")), 201, ""); second.text("agentId") != first.text("agentId") {
		t.Errorf("by another credential: %s, want %s", second.body, first.body)
	}
	s.must(t, register(s.token(t, n.agent, "agents:read agents:write")), 422, "IDEMPOTENCY_KEY_REUSED")

	// Of the operator, without admin:orgs.
	keyed = unique()
	foreign := post(s.operator, n.path()+"/credentials", map[string]any{}).with(keyHeader, keyed)
	s.must(t, foreign, 201, "")
	foreign.token = s.token(t, s.root, "")
	s.must(t, foreign, 422, "IDEMPOTENCY_KEY_REUSED")
}

// Lent authority makes nothing that lasts.
func TestLentAuthorityMakesNothingThatLasts(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	n := s.tenant(t)
	b, c := s.agent(t, n.organization, "agents:read"), s.agent(t, n.organization, "agents:read")
	lent := s.must(t, post(n.token, "/oauth2/token/delegate", map[string]any{
		"delegateeAgentId": b.id, "scopes": []string{"agents:read", "agents:write", "audit:read"}, "ttlSeconds": 60,
	}), 201, "")
	token := s.must(t, exchangeRequest(s.token(t, b, ""), lent.text("delegationToken"), ""), 200, "").text("access_token")
	for _, r := range []request{
		patch(token, b.path(), map[string]any{"scopes": []string{"agents:read", "agents:write"}}),
		post(token, "/api/v1/agents", newAgentBody("", "agents:read")),
		post(token, b.path()+"/credentials", map[string]any{}),
		post(token, c.path()+"/credentials", map[string]any{}),
		post(token, c.path()+"/credentials/rotate", map[string]any{}),
	} {
		if _, err := s.want(r, 403, "SCOPE_NOT_ALLOWED"); err != nil {
			t.Error(err)
		}
	}
	s.must(t, patch(token, c.path(), map[string]any{"owner": "somebody"}), 200, "")
	s.must(t, patch(token, c.path(), map[string]any{"status": "suspended"}), 200, "")
	s.must(t, patch(token, c.path(), map[string]any{"status": "active"}), 403, "SCOPE_NOT_ALLOWED")
	s.must(t, remove(token, c.path()+"/credentials/"+c.credential), 204, "")
}

// The operator can be lost no more, but a ledger from before may have lost it.
func TestBootstrapMakesAnotherOperatorWhereItWasLost(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	root, err := domain.ParseAgentID(s.root.id)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(domain.AgentDecommissioned{AgentID: root})
	if err != nil {
		t.Fatal(err)
	}
	s.append(t, domain.AgentStream(root), eventstore.Draft{
		ID: uuid.Must(uuid.NewV7()), Type: "agent.decommissioned", Schema: 1, Organization: uuid.MustParse(s.root.organization),
		Actor: eventstore.Actor{Kind: "system", ID: "agentidp"}, Time: time.Now().UTC(), Data: data,
	})
	made, err := upkeep.Bootstrap(t.Context(), s.world.Config(t), false)
	if err != nil || made.Replaces != s.root.id || made.ClientID == s.root.id || made.ClientSecret == "" {
		t.Fatalf("bootstrap: %+v, %v; want another operator, in place of %s", made, err, s.root.id)
	}
	again, err := upkeep.Bootstrap(t.Context(), s.world.Config(t), true)
	if err != nil || again.ClientID != made.ClientID || again.Older != 1 || again.ClientSecret == "" {
		t.Errorf("bootstrap again: %+v, %v; want one more secret of %s", again, err, made.ClientID)
	}
	operator := s.token(t, agent{id: made.ClientID, secret: made.ClientSecret}, allScopes)
	s.must(t, post(operator, "/api/v1/organizations", map[string]any{"name": "Acme", "slug": "acme-" + unique()}), 201, "")
}
