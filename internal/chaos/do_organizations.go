package chaos

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// found makes an organization, some of them with few seats, and some agents in it.
func (c *client) found(ctx context.Context, agents int) error {
	name := c.newName("organization")
	fields := map[string]any{"name": name, "slug": name, "planTier": string(domain.TierEnterprise)}
	if c.rng.IntN(2) == 0 {
		fields["maxAgents"] = 4 + c.rng.IntN(4)
	}
	a, _ := c.operate(ctx, Operation{Kind: "found", Makes: "organization.created"}, ask{
		method: http.MethodPost, path: "/api/v1/organizations", bearer: c.operator, header: keyed(), names: "organizationId", body: fields,
	})
	if a.result != Acknowledged {
		return fmt.Errorf("found %s: %s", name, a)
	}
	o := &organization{id: a.text("organizationId")}
	c.setAtOnce(o.tierKey(), string(domain.TierEnterprise))
	c.mu.Lock()
	c.organizations = append(c.organizations, o)
	c.mu.Unlock()
	for range agents {
		c.register(ctx, o)
	}
	return nil
}

// foundAnother keeps up the number of living organizations.
func (c *client) foundAnother(ctx context.Context, _ *agent) {
	const enough, agents = 8, 3
	living := 0
	c.mu.Lock()
	for _, o := range c.organizations {
		if !o.gone {
			living++
		}
	}
	c.mu.Unlock()
	if living < enough {
		_ = c.found(ctx, agents) // without an answer another time
	}
}

func organizationStream(o *organization) string {
	return domain.OrganizationStream(domain.OrganizationID{UUID: uuid.MustParse(o.id)})
}

// rename changes an organization's name, by the operator or by an admin of its
// own.
func (c *client) rename(ctx context.Context, who *agent) {
	o, by := who.organization, c.operator
	t := c.adminToken(who)
	if t != nil {
		by = t.text
	}
	begin := c.recording.Now()
	a := c.patchOrganization(ctx, o, Operation{Kind: "rename organization", Makes: "organization.updated"}, by, map[string]any{"name": c.newName("renamed")})
	if t != nil {
		c.used("rename as admin", a, begin, t.need())
	}
}

// patchOrganization sends a change once: it names no edition, so that repeated
// it might come late.
func (c *client) patchOrganization(ctx context.Context, o *organization, made Operation, by string, fields map[string]any) answer {
	made.Stream, made.Most = organizationStream(o), 1 // none where it is so already
	return c.operateOnce(ctx, made, ask{method: http.MethodPatch, path: "/api/v1/organizations/" + o.id, bearer: by, body: fields})
}

// suspendOrganization suspends it for a moment, seldom: it ends the tokens of
// all its agents.
func (c *client) suspendOrganization(ctx context.Context, who *agent) {
	const seldom = 3
	o := who.organization
	if c.rng.IntN(seldom) > 0 || !o.writing.TryLock() {
		return
	}
	defer o.writing.Unlock()
	status := func(kind Kind, makes domain.Type, to string) (answer, attempts) {
		what := Operation{Kind: kind, Makes: makes}
		a := c.patchOrganization(ctx, o, what, c.operator, map[string]any{"status": to})
		return a, attempts{{Request: a.request, Result: a.result}}
	}
	if a, _ := c.end(c.recording.Ends(o.key()), func() (answer, attempts) {
		return status("suspend organization", "organization.suspended", "suspended")
	}); a.result == Acknowledged {
		c.tryEnded(ctx, o, o.key())
	}
	const most = 10
	for range most {
		c.recording.Revives(o.key())
		a, tried := status("reactivate organization", "organization.reactivated", "active")
		c.recording.Revived(o.key(), a.result == Acknowledged, tried.settled())
		if a.result != Unknown {
			return
		}
	}
}

// deleteOrganization ends its agents and then itself, seldom. While one of them
// lives that is refused.
func (c *client) deleteOrganization(ctx context.Context, who *agent) {
	const seldom = 4
	o := who.organization
	if c.rng.IntN(seldom) > 0 || !o.writing.TryLock() {
		return
	}
	defer o.writing.Unlock()
	for _, a := range c.agentsOf(o) {
		a.writing.Lock()
		c.dismiss(ctx, a)
		a.writing.Unlock()
	}
	_, tried := c.end(c.recording.EndsForGood(o.key()), func() (answer, attempts) {
		return c.operate(ctx, Operation{Kind: "delete organization", Makes: "organization.deleted", Stream: organizationStream(o)},
			ask{method: http.MethodDelete, path: "/api/v1/organizations/" + o.id, bearer: c.operator})
	})
	if tried.nothing() {
		return
	}
	c.mu.Lock()
	o.gone = true
	c.mu.Unlock()
	c.tryEnded(ctx, o, o.key())
	c.register(ctx, o)
}

// lookAtCheckpoint asks for the newest checkpoint of the ledger, or has the
// organization's log signed as it is.
func (c *client) lookAtCheckpoint(ctx context.Context, who *agent) {
	what, log := ask{method: http.MethodGet, path: "/api/v1/ledger/checkpoint"}, transparency.Whole
	if c.rng.IntN(2) == 0 {
		what = ask{method: http.MethodGet, path: "/api/v1/organizations/" + who.organization.id + "/checkpoint", bearer: c.operator}
		log = uuid.MustParse(who.organization.id)
	}
	a := c.operateOnce(ctx, Operation{Kind: "checkpoint"}, what)
	if a.result != Acknowledged {
		return
	}
	checkpoint, err := transparency.OpenCheckpoint([]byte(a.text("checkpoint")), a.text("verifierKey"))
	if err != nil {
		c.recording.Mistake(Violation{Rule: RuleTree, Detail: "as " + a.request + ": " + err.Error()})
		return
	}
	c.recording.Saw(Checkpoint{Checkpoint: checkpoint, Log: log, Seen: a.request})
}
