package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/eventstore/storetest"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// lending is a world in which agents lend each other authority at random, and
// an oracle that knows nothing of aggregates and indexes: it remembers what was
// done, and says from that what may be.
type lending struct {
	*world
	t     *rapid.T
	index *revocation.Index
	now   time.Time

	agents  []*lendingAgent
	links   []*lendingLink
	tokens  []*lendingToken
	counted map[string]int
}

type lendingAgent struct {
	id     domain.AgentID
	scopes domain.Scopes
	active bool
	cut    int // commands done when its tokens were cut last
}

type lendingLink struct {
	id       domain.DelegationID
	from, to *lendingAgent
	above    *lendingLink // nil at the root
	scopes   domain.Scopes
	maxDepth int
	end      time.Time
	revoked  bool
}

func (l *lendingLink) root() *lendingLink {
	for l.above != nil {
		l = l.above
	}
	return l
}

// lendingToken is an access token got by exchange.
type lendingToken struct {
	link   *lendingLink
	scopes domain.Scopes
	end    time.Time
	born   int // commands done
	ref    revocation.Token
}

var lendingScopes = domain.NewScopes(domain.ScopeAgentsRead, domain.ScopeAuditRead, domain.ScopeTokensRead)

func newLending(t *testing.T, rt *rapid.T) *lending {
	l := &lending{t: rt, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), counted: map[string]int{}}
	clock := func() time.Time { return l.now }
	store := memory.New()
	l.index = revocation.New(store, revocation.Options{Now: clock})
	l.world = newWorld(t, store, 10)
	l.Ledger = ledger.New(store, nil, l.index, ledger.Options{Now: clock})
	for i := range 4 {
		agent := l.registration(fmt.Sprintf("agent-%d@example.com", i))
		agent.Scopes = lendingScopes
		if _, err := l.RegisterAgent(t.Context(), ledger.System(), agent); err != nil {
			rt.Fatal(err)
		}
		l.agents = append(l.agents, &lendingAgent{id: agent.AgentID, scopes: lendingScopes, active: true})
	}
	return l
}

func (l *lending) someScopes() domain.Scopes {
	return domain.NewScopes(rapid.SliceOfN(rapid.SampledFrom(lendingScopes), 1, 3).Draw(l.t, "scopes")...)
}

// lendingWish is what an agent asks to lend.
type lendingWish struct {
	to            *lendingAgent
	scopes        domain.Scopes
	ttl, maxDepth int
}

// wish draws one: mostly of what may be lent, sometimes of more.
func (l *lending) wish(above *lendingLink, caller domain.Caller) lendingWish {
	w := lendingWish{
		to: rapid.SampledFrom(l.agents).Draw(l.t, "to"), scopes: l.someScopes(),
		ttl:      rapid.SampledFrom([]int{60, 600, 3600, 86_400}).Draw(l.t, "ttl"),
		maxDepth: rapid.SampledFrom([]int{0, 1, 2, 3, 3, 3}).Draw(l.t, "max depth"),
	}
	if above != nil && rapid.IntRange(0, 4).Draw(l.t, "carefully") > 0 {
		left := int(above.end.Sub(l.now) / time.Second)
		w.scopes, w.ttl, w.maxDepth = caller.Scopes, min(max(60, left-1), 86_400), max(0, above.maxDepth-1)
	}
	return w
}

// descend lends from agent to agent, as deep as it goes.
func (l *lending) descend(t *testing.T) {
	caller := domain.Caller{AgentID: l.agents[0].id, OrganizationID: l.organization, Scopes: lendingScopes}
	var above *lendingLink
	for depth := range domain.MaxDelegationDepth + 1 {
		to := l.agents[(depth+1)%len(l.agents)]
		l.lend(t, l.agents[depth], above, caller, lendingWish{to, lendingScopes, 3600, domain.MaxDelegationDepth - depth})
		above = l.links[len(l.links)-1]
		l.exchange(t, above, to, nil, 0)
		caller.AgentID, caller.Delegation = to.id, above.id
	}
}

// alive is the oracle for a link, and for a token under it that was got when
// so many commands had been done.
func (l *lending) alive(link *lendingLink, born int) bool {
	for ; link != nil; link = link.above {
		if link.revoked || !l.now.Before(link.end) {
			return false
		}
		for _, agent := range []*lendingAgent{link.from, link.to} {
			if !agent.active || agent.cut > born {
				return false
			}
		}
	}
	return true
}

func (l *lending) tokenAlive(token *lendingToken) bool {
	return l.now.Before(token.end) && l.alive(token.link, token.born)
}

func TestNoSequenceOfCommandsGivesMoreThanWasLent(t *testing.T) {
	counted := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		l := newLending(t, rt)
		if rapid.Bool().Draw(rt, "deep") {
			l.descend(t)
		}
		commands := rapid.IntRange(30, 100).Draw(rt, "commands")
		for done := 1; done <= commands; done++ {
			l.step(t, done)
			if _, err := l.index.Sync(t.Context()); err != nil {
				rt.Fatal(err)
			}
			l.compare(done)
		}
		storetest.Verify(t, l.store)
		for what, n := range l.counted {
			counted[what] += n
		}
	})
	for _, what := range []string{"root", "below 1", "below 2", "below 3", "too much", "exchanged", "not exchanged", "living token", "dead token"} {
		if counted[what] == 0 {
			t.Errorf("%s never happened: the commands prove nothing; %v", what, counted)
		}
	}
}

func (l *lending) step(t *testing.T, done int) {
	switch rapid.SampledFrom([]string{
		"lend", "lend", "lend on", "lend on", "lend on", "lend on", "exchange", "exchange", "exchange", "exchange", "revoke", "agent", "time",
	}).Draw(l.t, "command") {
	case "lend":
		from := rapid.SampledFrom(l.agents).Draw(l.t, "from")
		if from.active {
			caller := domain.Caller{AgentID: from.id, OrganizationID: l.organization, Scopes: from.scopes}
			l.lend(t, from, nil, caller, l.wish(nil, caller))
		}
	case "lend on":
		for _, token := range slices.Backward(l.tokens) {
			if l.tokenAlive(token) && rapid.IntRange(0, 3).Draw(l.t, "with this token") > 0 {
				caller := domain.Caller{AgentID: token.link.to.id, OrganizationID: l.organization, Scopes: token.scopes, Delegation: token.link.id}
				l.lend(t, token.link.to, token.link, caller, l.wish(token.link, caller))
				return
			}
		}
	case "exchange":
		if len(l.links) > 0 {
			link := l.links[len(l.links)-1]
			if rapid.IntRange(0, 3).Draw(l.t, "an older one") == 0 {
				link = rapid.SampledFrom(l.links).Draw(l.t, "link")
			}
			actor := rapid.SampledFrom([]*lendingAgent{link.to, link.to, link.to, l.agents[0]}).Draw(l.t, "actor")
			var wanted domain.Scopes
			if rapid.IntRange(0, 3).Draw(l.t, "with scopes") == 0 {
				wanted = l.someScopes()
			}
			l.exchange(t, link, actor, wanted, done)
		}
	case "revoke":
		if len(l.links) > 0 {
			l.revoke(t, rapid.SampledFrom(l.links).Draw(l.t, "link"))
		}
	case "agent":
		l.changeAgent(t, rapid.SampledFrom(l.agents).Draw(l.t, "agent"), done)
	case "time":
		l.now = l.now.Add(time.Duration(rapid.IntRange(1, 1000).Draw(l.t, "seconds")) * time.Second)
	}
}

func (l *lending) lend(t *testing.T, from *lendingAgent, above *lendingLink, caller domain.Caller, w lendingWish) {
	link := &lendingLink{
		id: domain.DelegationID{UUID: ledger.NewID()}, from: from, to: w.to, above: above, scopes: w.scopes, maxDepth: w.maxDepth,
		end: l.now.Add(time.Duration(w.ttl) * time.Second),
	}
	allowed := from != w.to && w.to.active && len(link.scopes.Beyond(caller.Scopes)) == 0
	depth := 0
	for up := above; up != nil; up = up.above {
		depth++
		allowed = allowed && up.maxDepth >= depth+link.maxDepth && !link.end.After(up.end) && len(link.scopes.Beyond(up.scopes)) == 0
	}
	outcome, err := l.CreateDelegation(t.Context(), ledger.System(), domain.CreateDelegation{
		Caller: caller, DelegationID: link.id, DelegateeID: w.to.id, Scopes: link.scopes, TTLSeconds: w.ttl, MaxDepth: link.maxDepth, At: l.now,
	}, stillGood)
	if (err == nil) != allowed {
		l.t.Fatalf("%+v below %+v: %v, want it allowed: %v", link, above, err, allowed)
	}
	if !allowed {
		l.counted["too much"]++
		return
	}
	if outcome.State.Depth != depth {
		l.t.Fatalf("depth %d, want %d", outcome.State.Depth, depth)
	}
	l.links = append(l.links, link)
	l.counted[map[bool]string{true: "root", false: fmt.Sprintf("below %d", depth)}[depth == 0]]++
}

// exchange does as the token endpoint does.
func (l *lending) exchange(t *testing.T, link *lendingLink, actor *lendingAgent, wanted domain.Scopes, done int) {
	available := link.root().from.scopes
	for up := link; up != nil; up = up.above {
		available = available.Within(up.scopes)
	}
	allowed := actor == link.to && actor.active && l.alive(link, done) && len(available) > 0 && len(wanted.Beyond(available)) == 0

	seen, err := l.index.Sync(t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	basis := seen.Position()
	var exchanged ledger.Exchanged
	err = errors.New("the index says no")
	if seen.CheckDelegation(link.id, basis) == revocation.Alive {
		exchanged, err = exchange(t.Context(), l.Ledger, seen, link.id, domain.ExchangeDelegation{
			Actor:   domain.Caller{AgentID: actor.id, OrganizationID: l.organization},
			TokenID: domain.TokenID{UUID: ledger.NewID()}, Scopes: wanted, At: l.now,
		})
	}
	if (err == nil) != allowed {
		l.t.Fatalf("exchange of %+v by %s for %q: %v, want it allowed: %v", link, actor.id, wanted, err, allowed)
	}
	if !allowed {
		l.counted["not exchanged"]++
		return
	}
	l.counted["exchanged"]++
	issued := exchanged.Issued
	token := &lendingToken{
		link: link, scopes: domain.ParseScopes(issued.Scope), end: issued.ExpiresAt, born: done,
		ref: revocation.Token{
			TokenID: issued.TokenID, AgentID: actor.id, OrganizationID: l.organization,
			ExpiresAt: issued.ExpiresAt, Position: exchanged.Position, Basis: basis, Delegation: link.id,
		},
	}
	if wanted != nil {
		available = wanted
	}
	if token.scopes.String() != available.String() || *issued.Subject != link.root().from.id || issued.AgentID != link.to.id {
		l.t.Fatalf("issued %+v, want the scopes %s for %s", issued, available, link.root().from.id)
	}
	for up := link; up != nil; up = up.above {
		if issued.ExpiresAt.After(up.end) || issued.ExpiresAt.After(l.now.Add(domain.TokenLifetime)) {
			l.t.Fatalf("the token ends %s, its link %s", issued.ExpiresAt, up.end)
		}
	}
	l.tokens = append(l.tokens, token)
}

func (l *lending) revoke(t *testing.T, link *lendingLink) {
	by := rapid.SampledFrom([]*lendingAgent{link.from, link.from, link.to, l.agents[1]}).Draw(l.t, "by")
	_, err := l.RevokeDelegation(t.Context(), ledger.System(), link.id, domain.RevokeDelegation{
		Caller: domain.Caller{AgentID: by.id, OrganizationID: l.organization},
	})
	if (err == nil) != (by == link.from) {
		l.t.Fatalf("revoked by %s, lent by %s: %v", by.id, link.from.id, err)
	}
	link.revoked = link.revoked || err == nil
}

func (l *lending) changeAgent(t *testing.T, agent *lendingAgent, done int) {
	command := domain.UpdateAgent{Caller: l.operator}
	status := domain.AgentIsSuspended
	if !agent.active {
		status = domain.AgentActive
	}
	scopes := lendingScopes
	if rapid.Bool().Draw(l.t, "scopes") {
		if rapid.Bool().Draw(l.t, "fewer") {
			scopes = l.someScopes()
		}
		command.Scopes = &scopes
	} else {
		command.Status = &status
	}
	if _, err := l.UpdateAgent(t.Context(), ledger.System(), agent.id, command); err != nil {
		l.t.Fatal(err)
	}
	if command.Status != nil {
		agent.active, agent.cut = !agent.active, done
		return
	}
	if len(agent.scopes.Beyond(scopes)) > 0 {
		agent.cut = done
	}
	agent.scopes = scopes
}

// compare asks the index about everything there is.
func (l *lending) compare(done int) {
	for _, link := range l.links {
		got := l.index.Latest().CheckDelegation(link.id, l.index.Position())
		if want := l.alive(link, done); (got == revocation.Alive) != want {
			l.t.Fatalf("link %+v is %q, want it alive: %v", link, got, want)
		}
	}
	for _, token := range l.tokens {
		got, want := l.index.Latest().Check(token.ref), l.tokenAlive(token)
		if (got == revocation.Alive) != want {
			l.t.Fatalf("token %+v is %q, want it alive: %v", token, got, want)
		}
		l.counted[map[bool]string{true: "living token", false: "dead token"}[want]]++
	}
}
