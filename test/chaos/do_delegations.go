package chaos

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/sentryagent/agentidp/domain"
)

// delegate lends a scope to a neighbour: of the lender's own, or on what it was
// lent.
func (c *client) delegate(ctx context.Context, who *agent) {
	t := c.anyTokenOf(who, func(t *token) bool { return mayFollow(t) > 0 })
	if t != nil {
		c.lend(ctx, who, t, c.rng.IntN(mayFollow(t)))
	}
}

// mayFollow is how many links a token can make, one below the other.
func mayFollow(t *token) int {
	if t.under != nil {
		return t.under.maxDepth
	}
	return domain.MaxDelegationDepth + 1
}

// lend makes a link to a neighbour: the first of a chain, or, with a token got
// by exchange, one below the link that that is under. Nil when none was made.
func (c *client) lend(ctx context.Context, who *agent, t *token, maxDepth int) *lent {
	to := c.neighbour(who)
	if to == nil {
		return nil
	}
	const hour = 3600
	l := &lent{from: who, to: to, above: t.under, maxDepth: maxDepth, madeWith: t.secret.key}
	o := Operation{Kind: "delegate", Makes: "delegation.created", RestsOn: slices.Concat(t.restsOn, []string{to.key()})}
	if l.above != nil {
		l.depth, o.Kind = l.above.depth+1, Kind(fmt.Sprintf("lend on, depth %d", l.above.depth+1))
	}
	begin := c.recording.Now()
	a, _ := c.operate(ctx, o, ask{
		method: http.MethodPost, path: "/oauth2/token/delegate", bearer: t.text, header: keyed(), names: "chainId",
		body: map[string]any{
			"delegateeAgentId": to.id, "scopes": []string{"agents:read"}, "maxDepth": l.maxDepth,
			"ttlSeconds": hour * (domain.MaxDelegationDepth + 1 - l.depth), // so that none outlives the one above
		},
	})
	c.used(o.Kind, a, begin, t.need(), Lasting(who.key(), to.key()))
	if a.result != Acknowledged {
		return nil
	}
	l.chain, l.text = a.text("chainId"), a.text("delegationToken")
	c.mu.Lock()
	to.lent = append(to.lent, l)
	c.mu.Unlock()
	return l
}

// lendDown makes a whole chain, each lending on what it was lent.
func (c *client) lendDown(ctx context.Context, who *agent) {
	for t := c.ownToken(who); t != nil && mayFollow(t) > 0; {
		l := c.lend(ctx, who, t, mayFollow(t)-1)
		if l == nil {
			return
		}
		who, t = l.to, c.exchangeFor(ctx, l)
	}
}

// exchange turns what was lent into a token that acts for the lender.
func (c *client) exchange(ctx context.Context, who *agent) {
	if l := c.anyLent(who); l != nil {
		c.exchangeFor(ctx, l)
	}
}

// exchangeFor rests on the actor's token as well; the token that is got does
// not, but on its credential. It is nil when none was got.
func (c *client) exchangeFor(ctx context.Context, l *lent) *token {
	actor := c.ownToken(l.to)
	if actor == nil {
		return nil
	}
	t := &token{secret: actor.secret, under: l, restsOn: slices.Concat(l.restsOn(), l.endsTokens(), []string{actor.secret.key})}
	return c.getToken(ctx, Operation{Kind: "exchange", Stream: l.stream()}, l.to, t, []Need{actor.need(), Lasting(l.restsOn()...)},
		ask{body: url.Values{
			"grant_type":    {"urn:ietf:params:oauth:grant-type:token-exchange"},
			"subject_token": {l.text}, "subject_token_type": {"urn:sentryagent:params:oauth:token-type:delegation"},
			"actor_token": {actor.text}, "actor_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
		}})
}

// verifyLent has the operator ask whether what an agent was lent can be used.
func (c *client) verifyLent(ctx context.Context, who *agent) {
	l := c.anyLent(who)
	if l == nil {
		return
	}
	begin := c.recording.Now()
	a := c.operateOnce(ctx, Operation{Kind: "verify delegation"}, ask{
		method: http.MethodPost, path: "/oauth2/token/verify-delegation", bearer: c.operator,
		body: map[string]any{"delegationToken": l.text}, yes: func(a answer) bool { return a.body["valid"] == true },
	})
	c.used("verify delegation", a, begin, Lasting(l.restsOn()...))
}

// revokeDelegation ends what was lent to an agent, or a link above that, by the
// operator.
func (c *client) revokeDelegation(ctx context.Context, who *agent) {
	l := c.anyLent(who)
	if l == nil {
		return
	}
	for l.above != nil && c.rng.IntN(2) == 0 {
		l = l.above
	}
	// None when another has done it already.
	c.end(c.recording.EndsForGood(l.key()), func() (answer, attempts) {
		return c.operate(ctx, Operation{Kind: "revoke delegation", Makes: "delegation.revoked", Most: 1, Stream: l.stream()},
			ask{method: http.MethodDelete, path: "/oauth2/token/delegate/" + l.chain, bearer: c.operator})
	})
	c.tryEnded(ctx, who.organization, l.key())
}
