package chaos

import (
	"context"
	"net/http"
	"net/url"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sentryagent/agentidp/domain"
)

// issue asks for a token once: each request makes one of its own.
func (c *client) issue(ctx context.Context, who *agent) {
	s := c.anySecret(who)
	if s == nil {
		return
	}
	begin := c.recording.Now()
	a := c.once(ctx, ask{method: http.MethodPost, path: "/oauth2/token", basic: [2]string{who.id, s.text},
		body: url.Values{"grant_type": {"client_credentials"}}})
	c.tookToken("issue", a, begin, who, who.restsOn(s), domain.AgentStream(agentID(who)))
}

// tookToken notes the answer to a request for a token, and what it and the
// token rest on.
func (c *client) tookToken(kind Kind, a answer, begin Moment, who *agent, restsOn []string, stream string) {
	end := c.recording.Now()
	c.recording.Operated(Operation{
		Kind: kind, Attempts: []Attempt{{a.request, a.result}}, Result: a.result, Answer: a.String(),
		Makes: "token.issued", Stream: stream, Least: 1, Most: 1,
	})
	if kind != "exchange" || a.result != Refused { // which may be for the actor's token, see there
		c.recording.Used(Use{Kind: kind, RestsOn: restsOn, Since: Never, Begin: begin, End: end, Result: a.result, Answer: a.String()})
	}
	if a.result != Acknowledged {
		return
	}
	var claims jwt.RegisteredClaims
	text := a.text("access_token")
	if _, _, err := jwt.NewParser().ParseUnverified(text, &claims); err != nil {
		c.recording.Mistake(Violation{Rule: RuleAnswer, Detail: string(kind) + " gave what is no token: " + err.Error()})
		return
	}
	t := &token{text: text, key: "token " + claims.ID, since: end}
	t.restsOn = append([]string{t.key}, restsOn...)
	c.keepToken(who, t)
}

// use reads the agent's own record with a token.
func (c *client) use(ctx context.Context, who *agent) {
	t := c.anyToken(who)
	if t == nil {
		return
	}
	begin := c.recording.Now()
	a := c.once(ctx, ask{method: http.MethodGet, path: "/api/v1/agents/" + who.id, bearer: t.text})
	if a.status == http.StatusNotFound {
		c.recording.Mistake(Violation{Rule: RuleAnswer, Detail: "who has a token is not found, as " + a.request})
	}
	c.used("use", a, begin, t)
}

func (c *client) used(kind Kind, a answer, begin Moment, t *token) {
	c.recording.Operated(Operation{Kind: kind, Attempts: []Attempt{{a.request, a.result}}, Result: a.result, Answer: a.String()})
	c.recording.Used(Use{Kind: kind, RestsOn: t.restsOn, Since: t.since, Begin: begin, End: c.recording.Now(), Result: a.result, Answer: a.String()})
}

// introspect has the operator ask whether a token is active.
func (c *client) introspect(ctx context.Context, who *agent) {
	t := c.anyToken(who)
	if t == nil {
		return
	}
	begin := c.recording.Now()
	a := c.once(ctx, ask{method: http.MethodPost, path: "/oauth2/introspect", bearer: c.operator, body: url.Values{"token": {t.text}}})
	if active, told := a.body["active"].(bool); a.result == Acknowledged && told && !active {
		a.result, a.code = Refused, "not active"
	}
	c.used("introspect", a, begin, t)
}

// revokeToken ends one token, by its owner.
func (c *client) revokeToken(ctx context.Context, who *agent) {
	t, s := c.anyToken(who), c.anySecret(who)
	if t == nil || s == nil {
		return
	}
	ending := c.recording.Ends(t.key)
	a, attempts := c.until(ctx, ask{method: http.MethodPost, path: "/oauth2/revoke", basic: [2]string{who.id, s.text}, body: url.Values{"token": {t.text}}})
	if a.result == Acknowledged {
		c.recording.Ended(ending, settled(attempts))
	}
	c.recording.Operated(Operation{
		Kind: "revoke token", Attempts: attempts, Result: a.result, Answer: a.String(),
		Makes: "token.revoked", Least: 0, Most: len(attempts), // none when it was dead already
	})
}
