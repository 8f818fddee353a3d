package chaos

import (
	"context"
	"net/http"
)

func (c *client) generate(ctx context.Context, who *agent) {
	if !who.writing.TryLock() {
		return
	}
	defer who.writing.Unlock()
	o := Operation{Kind: "generate", Makes: "credential.generated", Stream: agentStream(who), RestsOn: []string{who.key()}}
	a, tried := c.operate(ctx, o, ask{
		method: http.MethodPost, path: "/api/v1/agents/" + who.id + "/credentials",
		bearer: c.operator, header: keyed(), names: "credentialId", body: map[string]any{},
	})
	c.takeSecret(ctx, who, a, tried)
}

// takeSecret remembers the secret of an answer. What was sent after that and
// not answered may have made another one in its place.
func (c *client) takeSecret(ctx context.Context, who *agent, a answer, tried attempts) {
	if a.result != Acknowledged || !tried.certain() {
		return
	}
	s := &secret{credential: a.text("credentialId"), text: a.text("clientSecret"), key: c.newName("secret")}
	c.mu.Lock()
	who.secrets = append(who.secrets, s)
	c.mu.Unlock()
	c.issue(ctx, who)
	c.follow(ctx, who, a)
}

// rotate replaces a secret. Repeated, it may do so again: the secret that is
// answered is the last.
func (c *client) rotate(ctx context.Context, who *agent) {
	o := Operation{Kind: "rotate", Makes: "credential.rotated", Least: 1, Most: asOften, RestsOn: []string{who.key()}}
	c.endSecret(ctx, who, o, func(s *secret) ask {
		return ask{
			method: http.MethodPost, path: "/api/v1/agents/" + who.id + "/credentials/" + s.credential + "/rotate",
			bearer: c.operator, header: keyed(), names: "credentialId", body: map[string]any{},
		}
	})
}

func (c *client) revokeCredential(ctx context.Context, who *agent) {
	c.endSecret(ctx, who, Operation{Kind: "revoke credential", Makes: "credential.revoked"}, func(s *secret) ask {
		return ask{method: http.MethodDelete, path: "/api/v1/agents/" + who.id + "/credentials/" + s.credential, bearer: c.operator}
	})
}

// endSecret ends one of an agent's secrets, and takes the one that the answer
// has instead, if it has one.
func (c *client) endSecret(ctx context.Context, who *agent, o Operation, by func(*secret) ask) {
	if !who.writing.TryLock() {
		return
	}
	defer who.writing.Unlock()
	s := c.anySecret(who)
	if s == nil || s.gone { // only who is writing changes that
		return
	}
	o.Stream = agentStream(who)
	a, tried := c.end(c.recording.EndsForGood(s.key), func() (answer, attempts) { return c.operate(ctx, o, by(s)) })
	if !tried.nothing() {
		c.mu.Lock()
		s.gone = true
		c.mu.Unlock()
	}
	if a.text("clientSecret") != "" {
		c.takeSecret(ctx, who, a, tried)
	}
	c.tryEnded(ctx, who.organization, s.key)
}
