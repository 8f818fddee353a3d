package chaos

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
)

func agentID(a *agent) domain.AgentID { return domain.AgentID{UUID: uuid.MustParse(a.id)} }

// operate sends a command until it is answered and notes it.
func (c *client) operate(ctx context.Context, o Operation, what ask) (answer, bool) {
	a, attempts := c.until(ctx, what)
	o.Attempts, o.Result, o.Answer = attempts, a.result, a.String()
	if o.Most == 0 {
		o.Least, o.Most = 1, 1
	}
	c.recording.Operated(o)
	return a, settled(attempts)
}

// keyed is a header that lets a command be repeated.
func keyed() map[string]string { return map[string]string{"Idempotency-Key": uuid.NewString()} }

// register makes an agent; now and then under an address that others want too.
func (c *client) register(ctx context.Context, o *organization) {
	const contested, wanted = 4, 30
	email := c.newName("agent") + "@chaos.example"
	if c.rng.IntN(contested) == 0 {
		email = "wanted-" + string(rune('a'+c.rng.IntN(wanted))) + "@chaos.example"
	}
	a, attempts := c.until(ctx, ask{method: http.MethodPost, path: "/api/v1/agents", bearer: c.operator, header: keyed(), body: map[string]any{
		"organizationId": o.id, "email": email, "agentType": "screener", "version": "1.0.0", "owner": "chaos",
		"deploymentEnv": "development", "capabilities": []string{}, "scopes": []string{"agents:read", "audit:read", "tokens:read"},
	}})
	made := Operation{
		Kind: "register", Attempts: attempts, Result: a.result, Answer: a.String(), Makes: "agent.created", Least: 1, Most: 1,
	}
	if a.result == Acknowledged {
		who := &agent{id: a.text("agentId"), organization: o}
		made.Stream = domain.AgentStream(agentID(who))
		c.mu.Lock()
		o.agents = append(o.agents, who)
		c.mu.Unlock()
		defer c.generate(ctx, who) // without a credential it could do nothing
	}
	c.recording.Operated(made)
}

// change sends a PATCH that takes effect once: it names the edition that it
// changes. It reports whether there was an edition to name.
func (c *client) change(ctx context.Context, who *agent, o Operation, fields map[string]any, before func()) (a answer, quiet, sent bool) {
	now := c.once(ctx, ask{method: http.MethodGet, path: "/api/v1/agents/" + who.id, bearer: c.operator})
	if now.result != Acknowledged {
		return now, false, false
	}
	before()
	a, quiet = c.operate(ctx, o, ask{
		method: http.MethodPatch, path: "/api/v1/agents/" + who.id, bearer: c.operator, body: fields,
		header: map[string]string{"If-Match": now.etag},
	})
	return a, quiet, true
}

func (c *client) update(ctx context.Context, who *agent) {
	if !who.writing.TryLock() {
		return
	}
	defer who.writing.Unlock()
	c.change(ctx, who, Operation{Kind: "update", Makes: "agent.updated", Stream: domain.AgentStream(agentID(who))},
		map[string]any{"description": c.newName("description")}, func() {})
}

// suspendForAWhile suspends an agent and reactivates it later, if it can.
func (c *client) suspendForAWhile(ctx context.Context, who *agent) {
	if !who.writing.TryLock() {
		return
	}
	defer who.writing.Unlock()
	stream := domain.AgentStream(agentID(who))
	var ending *Ending
	// None when an attempt before, that was not answered, had done it already.
	a, quiet, sent := c.change(ctx, who, Operation{Kind: "suspend", Makes: "agent.suspended", Stream: stream, Most: 1},
		map[string]any{"status": "suspended"}, func() { ending = c.recording.Ends(who.key()) })
	if !sent {
		return
	}
	if a.result == Acknowledged {
		c.recording.Ended(ending, quiet)
		c.use(ctx, who)
		c.issue(ctx, who)
	}
	a, quiet, sent = c.change(ctx, who, Operation{Kind: "reactivate", Makes: "agent.reactivated", Stream: stream, Most: 1},
		map[string]any{"status": "active"}, func() { c.recording.Revives(who.key()) })
	if sent {
		c.recording.Revived(who.key(), a.result == Acknowledged, quiet)
	}
}

func (c *client) decommission(ctx context.Context, who *agent) {
	if !who.writing.TryLock() {
		return
	}
	defer who.writing.Unlock()
	ending := c.recording.Ends(who.key())
	a, quiet := c.operate(ctx, Operation{Kind: "decommission", Makes: "agent.decommissioned", Stream: domain.AgentStream(agentID(who))},
		ask{method: http.MethodDelete, path: "/api/v1/agents/" + who.id, bearer: c.operator})
	if a.result == Acknowledged {
		c.recording.Ended(ending, quiet)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	who.gone = true
}
