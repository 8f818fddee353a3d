package chaos

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// found makes an organization, some of them with few seats.
func (c *client) found(ctx context.Context) error {
	name := c.newName("organization")
	fields := map[string]any{"name": name, "slug": name, "planTier": "enterprise"}
	if c.rng.IntN(2) == 0 {
		fields["maxAgents"] = 4 + c.rng.IntN(4)
	}
	o := &organization{}
	a, attempts := c.until(ctx, ask{method: http.MethodPost, path: "/api/v1/organizations", bearer: c.operator, header: keyed(), body: fields})
	made := Operation{
		Kind: "found", Attempts: attempts, Result: a.result, Answer: a.String(), Makes: "organization.created", Least: 1, Most: 1,
	}
	if a.result == Acknowledged {
		o.id = a.text("organizationId")
		made.Stream = organizationStream(o)
		c.mu.Lock()
		c.organizations = append(c.organizations, o)
		c.mu.Unlock()
	}
	c.recording.Operated(made)
	if a.result != Acknowledged {
		return fmt.Errorf("found %s: %s", name, a)
	}
	return nil
}

func organizationStream(o *organization) string {
	return domain.OrganizationStream(domain.OrganizationID{UUID: uuid.MustParse(o.id)})
}

// patch sends a change of an organization once: it names no edition, so that
// repeated it might come late.
func (c *client) patch(ctx context.Context, o *organization, kind Kind, makes domain.Type, fields map[string]any) answer {
	a := c.once(ctx, ask{method: http.MethodPatch, path: "/api/v1/organizations/" + o.id, bearer: c.operator, body: fields})
	c.recording.Operated(Operation{
		Kind: kind, Attempts: []Attempt{{a.request, a.result}}, Result: a.result, Answer: a.String(),
		Makes: makes, Stream: organizationStream(o), Least: 0, Most: 1, // none where it is so already
	})
	return a
}

func (c *client) renameOrganization(ctx context.Context, o *organization) {
	c.patch(ctx, o, "rename organization", "organization.updated", map[string]any{"name": c.newName("renamed")})
}

// suspendOrganization suspends it for a moment, seldom: it ends the tokens of
// all its agents.
func (c *client) suspendOrganization(ctx context.Context, o *organization) {
	const seldom = 3
	if c.rng.IntN(seldom) > 0 || !o.writing.TryLock() {
		return
	}
	defer o.writing.Unlock()
	ending := c.recording.Ends(o.key())
	if a := c.patch(ctx, o, "suspend organization", "organization.suspended", map[string]any{"status": "suspended"}); a.result == Acknowledged {
		c.recording.Ended(ending, true)
	}
	const most = 10
	for range most {
		c.recording.Revives(o.key())
		a := c.patch(ctx, o, "reactivate organization", "organization.reactivated", map[string]any{"status": "active"})
		c.recording.Revived(o.key(), a.result == Acknowledged, a.result != Unknown)
		if a.result != Unknown {
			return
		}
	}
}

// lookAtCheckpoint asks for the newest checkpoint of the ledger, or has the
// organization's log signed as it is.
func (c *client) lookAtCheckpoint(ctx context.Context, o *organization) {
	what, log := ask{method: http.MethodGet, path: "/api/v1/ledger/checkpoint"}, transparency.Whole
	if c.rng.IntN(2) == 0 {
		what = ask{method: http.MethodGet, path: "/api/v1/organizations/" + o.id + "/checkpoint", bearer: c.operator}
		log = uuid.MustParse(o.id)
	}
	a := c.once(ctx, what)
	c.recording.Operated(Operation{Kind: "checkpoint", Attempts: []Attempt{{a.request, a.result}}, Result: a.result, Answer: a.String()})
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
