package chaos

import (
	"context"
	"net/http"
	"net/url"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
)

// delegate lends a scope to a neighbour, with a token of the lender's own.
func (c *client) delegate(ctx context.Context, who *agent) {
	to, t := c.neighbour(who), c.anyToken(who)
	if to == nil || t == nil {
		return
	}
	begin := c.recording.Now()
	a, attempts := c.until(ctx, ask{
		method: http.MethodPost, path: "/oauth2/token/delegate", bearer: t.text, header: keyed(),
		body: map[string]any{"delegateeAgentId": to.id, "scopes": []string{"agents:read"}, "ttlSeconds": 3600},
	})
	o := Operation{Kind: "delegate", Attempts: attempts, Result: a.result, Answer: a.String(), Makes: "delegation.created", Least: 1, Most: 1}
	if a.result == Acknowledged {
		l := &lent{chain: a.text("chainId"), text: a.text("delegationToken"), from: who, to: to, since: c.recording.Now()}
		l.restsOn = []string{l.key(), who.key(), to.key(), who.organization.key()}
		o.Stream = delegationStream(l)
		c.recording.Used(Use{Kind: o.Kind, RestsOn: t.restsOn, Since: t.since, Begin: begin, End: l.since, Result: a.result, Answer: o.Answer})
		c.mu.Lock()
		to.lent = append(to.lent, l)
		c.mu.Unlock()
	}
	c.recording.Operated(o)
}

func delegationStream(l *lent) string {
	return domain.DelegationStream(domain.DelegationID{UUID: uuid.MustParse(l.chain)})
}

// ownToken is on how many things an agent's own token rests.
const ownToken = 4

// exchange turns what was lent into a token that acts for the lender. The
// request rests on the actor's token as well; the token that is got does not,
// but on its credential.
func (c *client) exchange(ctx context.Context, who *agent) {
	l, t := c.anyLent(who), c.anyToken(who)
	if l == nil || t == nil || len(t.restsOn) > ownToken {
		return
	}
	begin := c.recording.Now()
	a := c.once(ctx, ask{method: http.MethodPost, path: "/oauth2/token", body: url.Values{
		"grant_type":    {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token": {l.text}, "subject_token_type": {"urn:sentryagent:params:oauth:token-type:delegation"},
		"actor_token": {t.text}, "actor_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
	}})
	actor := Use{Kind: "exchange", RestsOn: t.restsOn, Since: t.since, Begin: begin, End: c.recording.Now(), Result: a.result, Answer: a.String()}
	if a.result == Refused { // the reason may be either
		actor.RestsOn = append(append([]string{}, t.restsOn...), l.restsOn...)
	}
	c.recording.Used(actor)
	credential := t.restsOn[1]
	c.tookToken("exchange", a, begin, l.to, append(append([]string{}, l.restsOn...), credential), delegationStream(l))
}

// revokeDelegation ends what was lent to an agent, by the operator.
func (c *client) revokeDelegation(ctx context.Context, who *agent) {
	l := c.anyLent(who)
	if l == nil {
		return
	}
	ending := c.recording.Ends(l.key())
	a, quiet := c.operate(ctx, Operation{Kind: "revoke delegation", Makes: "delegation.revoked", Most: 1, Stream: delegationStream(l)},
		ask{method: http.MethodDelete, path: "/oauth2/token/delegate/" + l.chain, bearer: c.operator})
	if a.result == Acknowledged {
		c.recording.Ended(ending, quiet)
	}
}
