package chaos

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
)

func agentID(a *agent) domain.AgentID { return domain.AgentID{UUID: uuid.MustParse(a.id)} }

func agentStream(a *agent) string { return domain.AgentStream(agentID(a)) }

// register makes an agent; now and then under an address that others want too.
func (c *client) register(ctx context.Context, o *organization) {
	const contested, wanted = 4, 30
	email := c.newName("agent") + "@chaos.example"
	if c.rng.IntN(contested) == 0 {
		email = "wanted-" + string(rune('a'+c.rng.IntN(wanted))) + "@chaos.example"
	}
	begin := c.recording.Now()
	made := Operation{Kind: "register", Makes: "agent.created", RestsOn: []string{o.key()}}
	a, _ := c.operate(ctx, made, ask{
		method: http.MethodPost, path: "/api/v1/agents", bearer: c.operator, header: keyed(), names: "agentId", body: map[string]any{
			"organizationId": o.id, "email": email, "agentType": "screener", "version": "1.0.0", "owner": "chaos",
			"deploymentEnv": "development", "capabilities": []string{}, "scopes": allScopes, "description": firstDescription,
		}})
	if a.result == Acknowledged || a.code == string(domain.CodeCrossTenant) || a.code == string(domain.CodeOrganizationNotFound) {
		c.used(made.Kind, a, begin, Lasting(o.key()))
	}
	if a.result != Acknowledged {
		return
	}
	who := c.know(o, a.text("agentId"))
	c.look(ctx, who)
	c.generate(ctx, who) // without a credential it could do nothing
}

// firstDescription is what an agent is registered with, as are [allScopes].
const firstDescription = "new"

// know is the agent with this id, whether or not it was known before.
func (c *client) know(o *organization, id string) *agent {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.IndexFunc(o.agents, func(a *agent) bool { return a.id == id }); i >= 0 {
		return o.agents[i]
	}
	who := &agent{id: id, organization: o}
	c.setAtOnce(who.descriptionKey(), firstDescription)
	c.setAtOnce(who.scopesKey(), strings.Join(allScopes, " "))
	o.agents = append(o.agents, who)
	return who
}

// setAtOnce notes a value that was there as soon as what has it.
func (c *client) setAtOnce(of, value string) {
	c.recording.Wrote(c.recording.Writes(of, value), Acknowledged, true)
}

// patch sends a change that takes effect once: it names the edition that it
// changes.
func (c *client) patch(ctx context.Context, who *agent, now answer, o Operation, fields map[string]any) (answer, attempts) {
	o.Stream = agentStream(who)
	a, tried := c.operate(ctx, o, ask{
		method: http.MethodPatch, path: "/api/v1/agents/" + who.id, bearer: c.operator, body: fields,
		header: map[string]string{"If-Match": now.header.Get("ETag")},
	})
	c.follow(ctx, who, a)
	return a, tried
}

// alone looks at an agent that nobody else changes until done is called; done is
// nil where somebody does, or where the agent cannot be seen.
func (c *client) alone(ctx context.Context, who *agent) (now answer, done func()) {
	if !who.writing.TryLock() {
		return now, nil
	}
	if now = c.look(ctx, who); now.result != Acknowledged {
		who.writing.Unlock()
		return now, nil
	}
	return now, who.writing.Unlock
}

func (c *client) update(ctx context.Context, who *agent) {
	now, done := c.alone(ctx, who)
	if done == nil {
		return
	}
	defer done()
	description := c.newName("description")
	c.set(who.descriptionKey(), description, func() (answer, attempts) {
		return c.patch(ctx, who, now, Operation{Kind: "update", Makes: "agent.updated"}, map[string]any{"description": description})
	})
	c.look(ctx, who)
}

// set sends what sets a value and notes what came of it.
func (c *client) set(of, value string, send func() (answer, attempts)) (answer, attempts) {
	w := c.recording.Writes(of, value)
	a, tried := send()
	c.recording.Wrote(w, a.result, tried.settled())
	return a, tried
}

// allScopes are what an agent is registered with, sorted.
var allScopes = []string{"agents:read", "audit:read", "tokens:read"}

// rescope takes scopes from an agent, which ends the tokens it has, or gives
// them back, which revives none.
func (c *client) rescope(ctx context.Context, who *agent) {
	now, done := c.alone(ctx, who)
	if done == nil {
		return
	}
	defer done()
	send := func(scopes []string) (answer, attempts) {
		return c.set(who.scopesKey(), strings.Join(scopes, " "), func() (answer, attempts) {
			return c.patch(ctx, who, now, Operation{Kind: "change scopes", Makes: "agent.updated"}, map[string]any{"scopes": scopes})
		})
	}
	if len(now.texts("scopes")) < len(allScopes) {
		send(allScopes)
		return
	}
	ending := c.recording.Ends(who.scopesKey())
	c.recording.Revives(who.scopesKey()) // what is asked for from here on may be from after it
	a, tried := c.end(ending, func() (answer, attempts) { return send(allScopes[:1+c.rng.IntN(len(allScopes)-1)]) })
	c.recording.Revived(who.scopesKey(), a.result == Acknowledged, tried.settled())
	c.tryEnded(ctx, who.organization, who.scopesKey())
	c.issue(ctx, who)
}

// suspendForAWhile suspends an agent and reactivates it later, if it can.
func (c *client) suspendForAWhile(ctx context.Context, who *agent) {
	now, done := c.alone(ctx, who)
	if done == nil {
		return
	}
	defer done()
	status := func(o Operation, to string) (answer, attempts) {
		// None when an attempt before, that was not answered, had done it already.
		o.Most = 1
		return c.patch(ctx, who, now, o, map[string]any{"status": to})
	}
	a, _ := c.end(c.recording.Ends(who.key()), func() (answer, attempts) {
		return status(Operation{Kind: "suspend", Makes: "agent.suspended"}, "suspended")
	})
	if a.result == Acknowledged {
		c.tryEnded(ctx, who.organization, who.key())
		c.issue(ctx, who)
	}
	if now = c.look(ctx, who); now.result != Acknowledged {
		return
	}
	c.recording.Revives(who.key())
	a, tried := status(Operation{Kind: "reactivate", Makes: "agent.reactivated"}, "active")
	c.recording.Revived(who.key(), a.result == Acknowledged, tried.settled())
	c.issue(ctx, who)
}

func (c *client) decommission(ctx context.Context, who *agent) {
	if c.isAdmin(who) || !who.writing.TryLock() { // it may be the last, which stays
		return
	}
	defer who.writing.Unlock()
	c.dismiss(ctx, who)
	c.tryEnded(ctx, who.organization, who.key())
}

// dismiss ends an agent for good. The caller holds its writing lock.
func (c *client) dismiss(ctx context.Context, who *agent) {
	c.end(c.recording.EndsForGood(who.key()), func() (answer, attempts) {
		a, tried := c.operate(ctx, Operation{Kind: "decommission", Makes: "agent.decommissioned", Stream: agentStream(who)},
			ask{method: http.MethodDelete, path: "/api/v1/agents/" + who.id, bearer: c.operator})
		c.follow(ctx, who, a)
		return a, tried
	})
	c.mu.Lock()
	who.gone = true
	c.mu.Unlock()
}
