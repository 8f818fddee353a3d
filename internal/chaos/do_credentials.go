package chaos

import (
	"context"
	"net/http"

	"github.com/sentryagent/agentidp/domain"
)

func (c *client) generate(ctx context.Context, who *agent) {
	if !who.writing.TryLock() {
		return
	}
	defer who.writing.Unlock()
	a, _ := c.operate(ctx, Operation{Kind: "generate", Makes: "credential.generated", Stream: domain.AgentStream(agentID(who))}, ask{
		method: http.MethodPost, path: "/api/v1/agents/" + who.id + "/credentials", bearer: c.operator, header: keyed(), body: map[string]any{},
	})
	if a.result == Acknowledged {
		c.keepSecret(who, a)
		c.issue(ctx, who)
	}
}

func (c *client) keepSecret(of *agent, a answer) {
	s := &secret{credential: a.text("credentialId"), text: a.text("clientSecret"), key: c.newName("secret")}
	c.mu.Lock()
	defer c.mu.Unlock()
	of.secrets = append(of.secrets, s)
}

// rotate replaces a secret. Repeated, it may do so again: the secret that is
// answered is the last.
func (c *client) rotate(ctx context.Context, who *agent) {
	c.endSecret(ctx, who, func(s *secret) (answer, []Attempt) {
		return c.until(ctx, ask{
			method: http.MethodPost, path: "/api/v1/agents/" + who.id + "/credentials/" + s.credential + "/rotate",
			bearer: c.operator, header: keyed(), body: map[string]any{},
		})
	}, "rotate", "credential.rotated", true)
}

func (c *client) revokeCredential(ctx context.Context, who *agent) {
	c.endSecret(ctx, who, func(s *secret) (answer, []Attempt) {
		return c.until(ctx, ask{
			method: http.MethodDelete, path: "/api/v1/agents/" + who.id + "/credentials/" + s.credential, bearer: c.operator,
		})
	}, "revoke credential", "credential.revoked", false)
}

func (c *client) endSecret(ctx context.Context, who *agent, send func(*secret) (answer, []Attempt), kind Kind, makes domain.Type, again bool) {
	if !who.writing.TryLock() {
		return
	}
	defer who.writing.Unlock()
	s := c.anySecret(who)
	if s == nil || s.gone { // only who is writing changes that
		return
	}
	ending := c.recording.Ends(s.key)
	a, attempts := send(s)
	o := Operation{
		Kind: kind, Attempts: attempts, Result: a.result, Answer: a.String(), Makes: makes,
		Stream: domain.AgentStream(agentID(who)), Least: 1, Most: 1,
	}
	if again {
		o.Most = len(attempts)
	}
	c.recording.Operated(o)
	if a.result == Acknowledged {
		c.recording.Ended(ending, settled(attempts))
	}
	if a.result != Refused || !settled(attempts) {
		c.mu.Lock()
		s.gone = true
		c.mu.Unlock()
	}
	if a.result == Acknowledged && again {
		c.keepSecret(who, a)
		c.issue(ctx, who)
	}
}
