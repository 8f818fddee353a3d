package chaos

import (
	"context"
	"net/http"
	"time"

	"github.com/sentryagent/agentidp/domain"
)

// suspendOrganization suspends it for a moment, seldom: it ends the tokens of
// all its agents.
func (c *client) suspendOrganization(ctx context.Context, who *agent) {
	const seldom = 3
	if c.rng.IntN(seldom) == 0 {
		c.whileSuspended(ctx, who.organization, func() (gone bool) {
			c.issue(ctx, who)
			return false
		})
	}
}

// whileSuspended does something in an organization that nobody else changes
// meanwhile. Then it lives on, unless it is gone.
func (c *client) whileSuspended(ctx context.Context, o *organization, do func() (gone bool)) {
	if !o.writing.TryLock() {
		return
	}
	defer o.writing.Unlock()
	a, _ := c.end(c.recording.Ends(o.key()), func() (answer, attempts) {
		return c.setStatus(ctx, o, Operation{Kind: "suspend organization", Makes: "organization.suspended"}, domain.OrganizationIsSuspended)
	})
	if a.result == Acknowledged {
		c.tryEnded(ctx, o, o.key())
	}
	if do() {
		return
	}
	const most = 20
	for range most {
		c.recording.Revives(o.key())
		a, tried := c.setStatus(ctx, o, Operation{Kind: "reactivate organization", Makes: "organization.reactivated"}, domain.OrganizationActive)
		c.recording.Revived(o.key(), a.result == Acknowledged, tried.settled())
		if a.result != Unknown || !between(ctx, c.rng, 20*time.Millisecond, 300*time.Millisecond) {
			return
		}
	}
}

func (c *client) setStatus(ctx context.Context, o *organization, made Operation, to domain.OrganizationStatus) (answer, attempts) {
	a := c.patchOrganization(ctx, o, made, c.operator, map[string]any{"status": string(to)})
	return a, attempts{{Request: a.request, Result: a.result}}
}

// deleteOrganization ends an organization's agents and then itself, seldom.
// While one of them lives that is refused.
func (c *client) deleteOrganization(ctx context.Context, who *agent) {
	const seldom = 3
	o := who.organization
	if c.rng.IntN(seldom) > 0 {
		return
	}
	c.whileSuspended(ctx, o, func() (gone bool) {
		c.listAgents(ctx, who)
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
			return false
		}
		c.mu.Lock()
		o.gone = true
		c.mu.Unlock()
		c.tryEnded(ctx, o, o.key())
		c.register(ctx, o)
		return true
	})
}
