package chaos

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
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
