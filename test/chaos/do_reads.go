package chaos

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/sentryagent/agentidp/eventstore"
)

// look reads an agent, on any node, as the operator. It must show all that was
// acknowledged before, whether or not the position of that is named.
func (c *client) look(ctx context.Context, who *agent) answer {
	what := ask{method: http.MethodGet, path: "/api/v1/agents/" + who.id + c.demand(who), bearer: c.operator}
	begin := c.recording.Now()
	a := c.operateOnce(ctx, Operation{Kind: "read agent"}, what)
	if a.status == http.StatusNotFound {
		c.recording.Mistake(Violation{Rule: RuleRead, Detail: "who was registered is not found, as " + a.request})
	}
	if a.result == Acknowledged {
		c.saw(who, a, begin)
	}
	return a
}

// listAgents lists the agents of an organization, which must have all whose
// registration was acknowledged. Those that nobody was told of join the others.
func (c *client) listAgents(ctx context.Context, who *agent) {
	const most = 100
	o := who.organization
	known := c.agentsOf(o)
	a := c.operateOnce(ctx, Operation{Kind: "list agents"}, ask{
		method: http.MethodGet, path: fmt.Sprintf("/api/v1/agents?organizationId=%s&limit=%d", o.id, most), bearer: c.operator,
	})
	if total, _ := a.body["total"].(float64); a.result != Acknowledged || total > most {
		return
	}
	listed := map[*agent]bool{}
	for _, entry := range a.list("data") {
		id, _ := entry["agentId"].(string)
		listed[c.know(o, id)] = true
	}
	for _, who := range known {
		if !listed[who] {
			c.recording.Mistake(Violation{Rule: RuleRead, Detail: fmt.Sprintf("%s was registered and is not listed, as %s", who.key(), a.request)})
		}
	}
}

// saw notes what an answer says of an agent.
func (c *client) saw(who *agent, a answer, begin Moment) {
	end := c.recording.Now()
	for of, value := range map[string]string{
		who.descriptionKey(): a.text("description"), who.scopesKey(): strings.Join(a.texts("scopes"), " "),
	} {
		c.recording.Shown(Read{Of: of, Value: value, Begin: begin, End: end, Request: a.request})
	}
	shown := Use{Kind: "shown as active", Needs: []Need{Lasting(who.key())}, Begin: begin, End: end, Result: Acknowledged, Answer: a.String()}
	if a.text("status") != "active" {
		shown.Result = Refused
	}
	c.recording.Used(shown)
}

// demand is the query that names the position of the last change of an agent
// that was acknowledged, half of the times.
func (c *client) demand(who *agent) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if who.position == 0 || c.rng.IntN(2) == 0 {
		return ""
	}
	return "?minPosition=" + strconv.FormatUint(who.position, 10)
}

// changed remembers where the ledger shows an agent as it was answered.
func (c *client) changed(who *agent, a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	who.position = max(who.position, a.position())
}

// follow remembers a change that was acknowledged and now and then asks a node
// for the agent's audit trail, which must have it.
func (c *client) follow(ctx context.Context, who *agent, a answer) {
	const seldom = 3
	if a.result != Acknowledged {
		return
	}
	c.changed(who, a)
	if c.rng.IntN(seldom) == 0 {
		c.trail(ctx, who)
	}
}

// trail reads the audit trail of an agent: the newest page of it.
func (c *client) trail(ctx context.Context, who *agent) {
	const page = 50
	begin := c.recording.Now()
	a := c.operateOnce(ctx, Operation{Kind: "read trail"}, ask{
		method: http.MethodGet, bearer: c.operator,
		path: fmt.Sprintf("/api/v1/audit?organizationId=%s&agentId=%s&limit=%d", who.organization.id, who.id, page),
	})
	if a.result != Acknowledged {
		return
	}
	listed := a.list("data")
	t := Trail{Stream: agentStream(who), Request: a.request, Begin: begin, Whole: len(listed) < page}
	for _, event := range listed {
		position, _ := event["position"].(float64)
		t.Listed = append(t.Listed, eventstore.Position(position))
	}
	c.recording.Followed(t)
}

// lookAhead demands what the ledger does not have yet: no node may pretend.
func (c *client) lookAhead(ctx context.Context, who *agent) {
	const beyond = 1 << 50
	a := c.operateOnce(ctx, Operation{Kind: "read ahead"}, ask{
		method: http.MethodGet, path: fmt.Sprintf("/api/v1/agents/%s?minPosition=%d", who.id, int64(beyond)), bearer: c.operator,
	})
	if a.result == Acknowledged {
		c.recording.Mistake(Violation{Rule: RuleRead, Detail: "a place that the ledger does not have was not waited for, as " + a.request})
	}
}
