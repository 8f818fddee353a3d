package chaos

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// issue asks for a token once: each request makes one of its own.
func (c *client) issue(ctx context.Context, who *agent) {
	s := c.anySecret(who)
	if s == nil {
		return
	}
	t := &token{secret: s, restsOn: append(who.restsOn(s), who.scopesKey())}
	c.getToken(ctx, Operation{Kind: "issue", Stream: agentStream(who)}, who, t, []Need{Lasting(who.restsOn(s)...)},
		ask{basic: [2]string{who.id, s.text}, body: url.Values{"grant_type": {"client_credentials"}}})
}

// getToken asks the token endpoint for a token once, and notes the answer and
// what it needs. The token is nil when none was got.
func (c *client) getToken(ctx context.Context, o Operation, who *agent, t *token, needs []Need, what ask) *token {
	o.Makes, o.Least, o.Most = "token.issued", 1, 1
	what.method, what.path = http.MethodPost, "/oauth2/token"
	t.asked = c.recording.Now()
	a := c.operateOnce(ctx, o, what)
	t.since = c.recording.Now()
	c.recording.Used(Use{Kind: o.Kind, Needs: needs, Begin: t.asked, End: t.since, Result: a.result, Answer: a.String()})
	if a.result != Acknowledged {
		return nil
	}
	var claims jwt.RegisteredClaims
	t.text, t.whole = a.text("access_token"), len(strings.Fields(a.text("scope"))) >= len(allScopes)
	if _, _, err := jwt.NewParser().ParseUnverified(t.text, &claims); err != nil {
		c.recording.Mistake(Violation{Rule: RuleAnswer, Detail: string(o.Kind) + " gave what is no token: " + err.Error()})
		return nil
	}
	t.key = "token " + claims.ID
	t.restsOn = append(t.restsOn, t.key)
	c.keepToken(who, t)
	return t
}

// use reads the agent's own record with a token.
func (c *client) use(ctx context.Context, who *agent) {
	if t := c.anyToken(who); t != nil {
		c.useToken(ctx, who, t)
	}
}

func (c *client) useToken(ctx context.Context, who *agent, t *token) {
	begin := c.recording.Now()
	a := c.operateOnce(ctx, Operation{Kind: "use"}, ask{method: http.MethodGet, path: "/api/v1/agents/" + who.id, bearer: t.text})
	if a.status == http.StatusNotFound {
		c.recording.Mistake(Violation{Rule: RuleAnswer, Detail: "who has a token is not found, as " + a.request})
	}
	c.used("use", a, begin, t.need())
	if a.result == Acknowledged {
		c.saw(who, a, begin)
	}
}

// used notes the answer to what needs something to be alive.
func (c *client) used(kind Kind, a answer, begin Moment, needs ...Need) {
	c.recording.Used(Use{Kind: kind, Needs: needs, Begin: begin, End: c.recording.Now(), Result: a.result, Answer: a.String()})
}

// introspect has the operator ask whether a token is active.
func (c *client) introspect(ctx context.Context, who *agent) {
	if t := c.anyToken(who); t != nil {
		c.introspectToken(ctx, t)
	}
}

func (c *client) introspectToken(ctx context.Context, t *token) {
	begin := c.recording.Now()
	a := c.operateOnce(ctx, Operation{Kind: "introspect"}, ask{
		method: http.MethodPost, path: "/oauth2/introspect", bearer: c.operator, body: url.Values{"token": {t.text}},
		yes: func(a answer) bool { return a.body["active"] == true },
	})
	c.used("introspect", a, begin, t.need())
}

// tryEnded uses and introspects a token that rests on what was just ended,
// whoever has it.
func (c *client) tryEnded(ctx context.Context, in *organization, key string) {
	if who, t := c.anyTokenOn(in, key); t != nil {
		c.useToken(ctx, who, t)
		c.introspectToken(ctx, t)
	}
}

// anyTokenOn is a token that rests on something, and who has it.
func (c *client) anyTokenOn(in *organization, key string) (*agent, *token) {
	type held struct {
		by *agent
		*token
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []held
	for _, a := range in.agents {
		for _, t := range a.tokens {
			if slices.Contains(t.restsOn, key) {
				all = append(all, held{a, t})
			}
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	one := pick(c, all)
	return one.by, one.token
}

// revokeToken ends one token, by its owner.
func (c *client) revokeToken(ctx context.Context, who *agent) {
	t, s := c.anyToken(who), c.anySecret(who)
	if t == nil || s == nil {
		return
	}
	// None when it was dead already.
	c.end(c.recording.EndsForGood(t.key), func() (answer, attempts) {
		return c.operate(ctx, Operation{Kind: "revoke token", Makes: "token.revoked", Most: asOften},
			ask{method: http.MethodPost, path: "/oauth2/revoke", basic: [2]string{who.id, s.text}, body: url.Values{"token": {t.text}}})
	})
	c.tryEnded(ctx, who.organization, t.key)
}
