package ledger_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// thief is somebody who got hold of one token and makes of it what can be made.
// Nothing that it holds ever stops working for it, which is more than a real one
// could hope for.
type thief struct {
	*world
	t     *rapid.T
	ctx   *testing.T
	now   time.Time
	first domain.Caller // the token that it began with

	agents    []domain.AgentID // that there are, its own registrations included
	foreign   domain.AgentID
	elsewhere domain.OrganizationID

	tokens      []domain.Caller
	credentials []stolenCredential
	links       []stolenLink
	did         map[string]int
}

type stolenCredential struct {
	agent    domain.AgentID
	verifier domain.Verifier
}

type stolenLink struct {
	id domain.DelegationID
	to domain.AgentID
}

var stealable = domain.NewScopes(domain.ScopeAgentsRead, domain.ScopeAgentsWrite, domain.ScopeAuditRead, domain.ScopeOpenID)

// someOf draws a part of a set, mostly a large one.
func someOf(t *rapid.T, name string, scopes domain.Scopes) domain.Scopes {
	some := []domain.Scope{}
	for _, scope := range scopes {
		if rapid.IntRange(0, 5).Draw(t, name) > 0 {
			some = append(some, scope)
		}
	}
	return domain.NewScopes(some...)
}

func newThief(t *testing.T, rt *rapid.T) *thief {
	th := &thief{world: newWorld(t, memory.New(), 1000), t: rt, ctx: t, now: time.Now().UTC(), did: map[string]int{}}
	outcome, err := th.CreateOrganization(t.Context(), ledger.System(), domain.CreateOrganization{
		Caller: th.operator, OrganizationID: domain.OrganizationID{UUID: ledger.NewID()}, Name: "Rivals", Slug: "rivals",
	})
	if err != nil {
		t.Fatal(err)
	}
	th.elsewhere = outcome.State.ID
	for i := range 4 {
		registration := th.registration(fmt.Sprintf("agent-%d@acme.test", i))
		registration.Scopes = someOf(rt, "allowed", stealable)
		if len(registration.Scopes) == 0 {
			registration.Scopes = stealable
		}
		if i == 3 {
			registration.OrganizationID = th.elsewhere
		}
		registered, err := th.RegisterAgent(t.Context(), ledger.System(), registration)
		if err != nil {
			t.Fatal(err)
		}
		if i == 3 {
			th.foreign = registered.State.ID
			break
		}
		th.credential(t, registered.State.ID)
		th.agents = append(th.agents, registered.State.ID)
	}
	asleep := domain.AgentIsSuspended
	if _, err := th.UpdateAgent(t.Context(), ledger.System(), th.agents[2], domain.UpdateAgent{Caller: th.operator, Status: &asleep}); err != nil {
		t.Fatal(err)
	}
	for _, id := range th.agents {
		role := rapid.SampledFrom([]domain.Role{"", domain.RoleMember, domain.RoleAdmin}).Draw(rt, "role")
		if role == "" {
			continue
		}
		command := domain.AddMember{Caller: th.operator, AgentID: id, Role: role}
		if _, err := th.AddMember(t.Context(), ledger.System(), th.organization, command); err != nil {
			t.Fatal(err)
		}
	}
	return th
}

// steal draws the token that everything begins with: of the first agent, narrow
// or not, or lent to it by the second.
func (th *thief) steal(lent bool) {
	owner := th.state(th.agents[0])
	own := domain.Caller{AgentID: owner.ID, OrganizationID: th.organization, Scopes: owner.Scopes}
	if !lent {
		own.Scopes = someOf(th.t, "stolen", owner.Scopes)
		th.first, th.tokens = own, []domain.Caller{own}
		return
	}
	lender := th.state(th.agents[1])
	link := domain.DelegationID{UUID: ledger.NewID()}
	_, err := th.CreateDelegation(th.ctx.Context(), ledger.System(), domain.CreateDelegation{
		Caller:       domain.Caller{AgentID: lender.ID, OrganizationID: th.organization, Scopes: lender.Scopes},
		DelegationID: link, DelegateeID: owner.ID, Scopes: lender.Scopes, TTLSeconds: 3600, MaxDepth: 2, At: th.now,
	}, stillGood)
	if err != nil {
		th.t.Fatal(err)
	}
	exchanged, err := exchange(th.ctx.Context(), th.Ledger, revocation.View{}, link, domain.ExchangeDelegation{
		Actor: own, TokenID: domain.TokenID{UUID: ledger.NewID()}, At: th.now,
	})
	if err != nil {
		th.t.Fatal(err)
	}
	own.Scopes, own.Delegation = domain.ParseScopes(exchanged.Issued.Scope), link
	th.first, th.tokens = own, []domain.Caller{own}
}

func (th *thief) state(id domain.AgentID) domain.Agent {
	agent, err := th.Agent(th.ctx.Context(), id)
	if err != nil {
		th.t.Fatal(err)
	}
	return agent
}

func (th *thief) note(what string, err error) bool {
	if err != nil {
		what = "no " + what
	}
	th.did[what]++
	return err == nil
}

// step makes one use of what the thief has.
func (th *thief) step() {
	ctx, system := th.ctx.Context(), ledger.System()
	caller := rapid.SampledFrom(th.tokens).Draw(th.t, "token")
	target := rapid.SampledFrom(append(slices.Clone(th.agents), th.agents[0], th.agents[0], th.foreign)).Draw(th.t, "target")
	verifier := domain.Verifier{KeyID: "k", MAC: []byte(uuid.NewString())}
	switch what := rapid.SampledFrom([]string{
		"register", "generate", "generate", "rotate", "rotate", "revoke", "scopes", "scopes", "status", "decommission",
		"token", "token", "token", "lend", "lend", "lend", "exchange", "exchange", "exchange", "role", "role", "role", "remove", "add member", "rename",
	}).Draw(th.t, "command"); what {
	case "register":
		registration := th.registration(uuid.NewString() + "@acme.test")
		registration.Caller, registration.Scopes = caller, th.allowed(caller)
		if rapid.IntRange(0, 3).Draw(th.t, "abroad") == 0 {
			registration.OrganizationID = th.elsewhere
		}
		outcome, err := th.RegisterAgent(ctx, system, registration)
		if th.note(what, err) {
			th.agents = append(th.agents, outcome.State.ID)
		}
	case "generate":
		_, err := th.GenerateCredential(ctx, system, target, domain.GenerateCredential{
			Caller: caller, CredentialID: domain.CredentialID{UUID: ledger.NewID()}, Verifier: &verifier, At: th.now,
		})
		if th.note(what, err) {
			th.credentials = append(th.credentials, stolenCredential{target, verifier})
		}
	case "rotate":
		_, err := th.RotateCredential(ctx, system, target, domain.RotateCredential{Caller: caller, Verifier: &verifier, At: th.now})
		if th.note(what, err) {
			th.credentials = append(th.credentials, stolenCredential{target, verifier})
		}
	case "revoke":
		if known := th.state(target).Credentials; len(known) > 0 {
			_, err := th.RevokeCredential(ctx, system, target, domain.RevokeCredential{
				Caller: caller, CredentialID: rapid.SampledFrom(known).Draw(th.t, "credential").ID,
			})
			th.note(what, err)
		}
	case "scopes":
		scopes := th.allowed(caller)
		_, err := th.UpdateAgent(ctx, system, target, domain.UpdateAgent{Caller: caller, Scopes: &scopes})
		th.note(what, err)
	case "status":
		status := rapid.SampledFrom([]domain.AgentStatus{domain.AgentActive, domain.AgentIsSuspended}).Draw(th.t, "status")
		_, err := th.UpdateAgent(ctx, system, target, domain.UpdateAgent{Caller: caller, Status: &status})
		th.note(what, err)
	case "decommission":
		if rapid.IntRange(0, 3).Draw(th.t, "really") == 0 {
			_, err := th.DecommissionAgent(ctx, system, target, domain.DecommissionAgent{Caller: caller})
			th.note(what, err)
		}
	case "token":
		th.issue()
	case "lend":
		th.lend(caller, target)
	case "exchange":
		th.exchangeLink()
	case "role":
		role := rapid.SampledFrom([]domain.Role{domain.RoleMember, domain.RoleAdmin}).Draw(th.t, "role")
		_, err := th.ChangeMemberRole(ctx, system, th.organization, domain.ChangeMemberRole{Caller: caller, AgentID: target, Role: role})
		th.note(what, err)
	case "remove":
		_, err := th.RemoveMember(ctx, system, th.organization, domain.RemoveMember{Caller: caller, AgentID: target})
		th.note(what, err)
	case "add member":
		_, err := th.AddMember(ctx, system, th.organization, domain.AddMember{Caller: caller, AgentID: target, Role: domain.RoleAdmin})
		th.note(what, err)
	case "rename":
		name := uuid.NewString()
		_, err := th.UpdateOrganization(ctx, system, th.organization, domain.UpdateOrganization{Caller: caller, Name: &name})
		th.note(what, err)
	}
}

// allowed draws scopes for an agent: mostly such as the token has, sometimes more.
func (th *thief) allowed(caller domain.Caller) domain.Scopes {
	if rapid.IntRange(0, 4).Draw(th.t, "boldly") == 0 {
		return someOf(th.t, "allowed", domain.AllScopes())
	}
	return someOf(th.t, "allowed", caller.Scopes)
}

// issue has a credential turned into a token with all that it gives.
func (th *thief) issue() {
	if len(th.credentials) == 0 {
		return
	}
	c := rapid.SampledFrom(th.credentials).Draw(th.t, "stolen credential")
	scopes := th.state(c.agent).Scopes // admin:orgs too, if it were there
	if rapid.Bool().Draw(th.t, "narrow") {
		scopes = someOf(th.t, "wanted", scopes)
	}
	issued, err := issueToken(th.ctx.Context(), th.Ledger, c.agent, domain.IssueToken{
		Proof: domain.Proof{Secret: []domain.Verifier{c.verifier}}, TokenID: domain.TokenID{UUID: ledger.NewID()},
		Scopes: scopes, At: th.now,
	})
	if th.note("token", err) {
		th.tokens = append(th.tokens, domain.Caller{
			AgentID: c.agent, OrganizationID: issued.Agent.OrganizationID, Scopes: domain.ParseScopes(issued.Token.Scope),
		})
	}
}

func (th *thief) lend(caller domain.Caller, to domain.AgentID) {
	if rapid.IntRange(0, 2).Draw(th.t, "to an accomplice") > 0 {
		to = rapid.SampledFrom(th.tokens).Draw(th.t, "accomplice").AgentID
	}
	link := domain.DelegationID{UUID: ledger.NewID()}
	_, err := th.CreateDelegation(th.ctx.Context(), ledger.System(), domain.CreateDelegation{
		Caller: caller, DelegationID: link, DelegateeID: to, Scopes: someOf(th.t, "lent", caller.Scopes),
		TTLSeconds: rapid.SampledFrom([]int{60, 600, 86_400}).Draw(th.t, "ttl"), At: th.now,
	}, stillGood)
	if th.note("lend", err) {
		th.links = append(th.links, stolenLink{link, to})
	}
}

func (th *thief) exchangeLink() {
	if len(th.links) == 0 {
		return
	}
	link := rapid.SampledFrom(th.links).Draw(th.t, "link")
	for _, actor := range th.tokens {
		if actor.AgentID != link.to || actor.IsDelegated() {
			continue
		}
		exchanged, err := exchange(th.ctx.Context(), th.Ledger, revocation.View{}, link.id, domain.ExchangeDelegation{
			Actor: actor, TokenID: domain.TokenID{UUID: ledger.NewID()}, At: th.now,
		})
		if th.note("exchange", err) {
			actor.Scopes, actor.Delegation = domain.ParseScopes(exchanged.Issued.Scope), link.id
			th.tokens = append(th.tokens, actor)
		}
		return
	}
}

// surroundings are what lasts, as far as authority goes.
type surroundings struct {
	scopes      map[domain.AgentID]domain.Scopes
	credentials map[domain.AgentID][]domain.Verifier // that open the agent
	members     string
	name        string
}

func (th *thief) look() surroundings {
	s := surroundings{scopes: map[domain.AgentID]domain.Scopes{}, credentials: map[domain.AgentID][]domain.Verifier{}}
	for _, id := range append(slices.Clone(th.agents), th.foreign) {
		agent := th.state(id)
		s.scopes[id] = agent.Scopes
		for _, c := range agent.Credentials {
			if agent.Admits(c, th.now) == nil {
				s.credentials[id] = append(s.credentials[id], c.Verifier)
			}
		}
	}
	organization, err := th.Organization(th.ctx.Context(), th.organization)
	if err != nil {
		th.t.Fatal(err)
	}
	s.members, s.name = fmt.Sprint(organization.Members), organization.Name
	return s
}

// TestNothingThatATokenLeadsToExceedsIt holds whatever is made of one token, for
// ever, within its scopes and its organization; of a lent one, within the loan.
func TestNothingThatATokenLeadsToExceedsIt(t *testing.T) {
	done := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		th := newThief(t, rt)
		lent := rapid.Bool().Draw(rt, "lent")
		th.steal(lent)
		before := th.look()
		whole := !lent && len(th.state(th.first.AgentID).Scopes.Without(domain.ScopeOpenID).Beyond(th.first.Scopes)) == 0
		for range rapid.IntRange(40, 120).Draw(rt, "commands") {
			th.step()
			for _, token := range th.tokens {
				if beyond := token.Scopes.Beyond(th.first.Scopes); len(beyond) > 0 || token.OrganizationID != th.organization {
					rt.Fatalf("from %+v came %+v: more by %s", th.first, token, beyond)
				}
			}
		}
		after := th.look()
		if !whole && (after.name != before.name || after.members != before.members) {
			// Decommissioning takes a role away, and takes no role.
			if after.name != before.name || th.did["decommission"] == 0 {
				rt.Fatalf("a token that is not whole changed the organization from %+v to %+v", before, after)
			}
		}
		if lent {
			th.mustLeaveNothing(before, after)
		}
		kind := map[bool]string{true: "lent ", false: "own "}[lent]
		for what, n := range th.did {
			done[kind+what] += n
		}
	})
	for _, what := range []string{
		"own register", "own generate", "own rotate", "own token", "own exchange", "own scopes", "own role", "own no generate", "own no scopes",
		"own no register", "own no role", "lent lend", "lent revoke", "lent status", "lent no generate", "lent no register", "lent no scopes", "lent no role",
	} {
		if done[what] == 0 {
			t.Errorf("%q never happened: the commands prove nothing; %v", what, done)
		}
	}
}

// mustLeaveNothing: when a loan has ended, nobody has more than if it had never
// been taken up.
func (th *thief) mustLeaveNothing(before, after surroundings) {
	if len(th.credentials) > 0 || len(th.scopesBeyond(before, after)) > 0 {
		th.t.Fatalf("with lent authority: %d credentials, scopes added %v", len(th.credentials), th.scopesBeyond(before, after))
	}
	for id, usable := range after.credentials {
		for _, verifier := range usable {
			known := func(v domain.Verifier) bool { return string(v.MAC) == string(verifier.MAC) }
			if !slices.ContainsFunc(before.credentials[id], known) {
				th.t.Fatalf("lent authority made a credential of %s usable", id)
			}
		}
	}
	for _, token := range th.tokens {
		if !token.IsDelegated() {
			th.t.Fatalf("lent authority became a token of its own: %+v", token)
		}
	}
}

func (th *thief) scopesBeyond(before, after surroundings) domain.Scopes {
	var beyond domain.Scopes
	for id, scopes := range after.scopes {
		beyond = append(beyond, scopes.Beyond(before.scopes[id])...) // of a new agent: all
	}
	return beyond
}
