package chaos

import (
	"context"
	"net/http"

	"github.com/sentryagent/agentidp/domain"
)

// addMember gives an agent a role in its organization.
func (c *client) addMember(ctx context.Context, who *agent) {
	o, role := who.organization, [...]domain.Role{domain.RoleMember, domain.RoleAdmin}[c.rng.IntN(2)]
	made := Operation{
		Kind: "add member", Makes: "organization.member_added", Stream: organizationStream(o), Least: ifFirst, Most: 1, RestsOn: []string{o.key(), who.key()},
	}
	a, _ := c.operate(ctx, made, ask{
		method: http.MethodPost, path: "/api/v1/organizations/" + o.id + "/members", bearer: c.operator,
		header: keyed(), names: "agentId", body: map[string]any{"agentId": who.id, "role": string(role)},
	})
	if a.result == Acknowledged && role == domain.RoleAdmin {
		c.mu.Lock()
		who.admin = true
		c.mu.Unlock()
	}
}

// changeTier moves an organization to another tier. From the answer on every
// node decides by it, and says so.
func (c *client) changeTier(ctx context.Context, who *agent) {
	o := who.organization
	if !o.writing.TryLock() {
		return
	}
	defer o.writing.Unlock()
	c.putTier(ctx, o, [...]domain.Tier{domain.TierFree, domain.TierPro, domain.TierEnterprise}[c.rng.IntN(3)])
	c.lookAtTier(ctx, who)
	c.register(ctx, o)
	c.putTier(ctx, o, domain.TierEnterprise) // which keeps nobody from working
}

func (c *client) putTier(ctx context.Context, o *organization, tier domain.Tier) {
	c.set(o.tierKey(), string(tier), func() (answer, attempts) {
		what := Operation{Kind: "change tier", Makes: "tier.changed", Stream: organizationStream(o), Most: 1} // none where it is so already
		a := c.operateOnce(ctx, what, ask{
			method: http.MethodPut, path: "/api/v1/organizations/" + o.id + "/tier", bearer: c.operator,
			body: map[string]any{"tier": string(tier), "reason": "chaos"},
		})
		return a, attempts{{Request: a.request, Result: a.result}}
	})
}

// lookAtTier asks how an organization stands.
func (c *client) lookAtTier(ctx context.Context, who *agent) {
	begin := c.recording.Now()
	a := c.operateOnce(ctx, Operation{Kind: "read tier"}, ask{
		method: http.MethodGet, path: "/api/v1/tiers/status?organizationId=" + who.organization.id, bearer: c.operator,
	})
	if a.result == Acknowledged {
		c.recording.Shown(Read{Of: who.organization.tierKey(), Value: a.text("tier"), Begin: begin, End: c.recording.Now(), Request: a.request})
	}
}

// lookAtOrganization reads an organization's record: it shows whether it lives.
func (c *client) lookAtOrganization(ctx context.Context, who *agent) {
	o := who.organization
	begin := c.recording.Now()
	a := c.operateOnce(ctx, Operation{Kind: "read organization"}, ask{
		method: http.MethodGet, path: "/api/v1/organizations/" + o.id, bearer: c.operator,
	})
	if a.result != Acknowledged {
		return
	}
	c.recording.Shown(Read{Of: o.tierKey(), Value: a.text("planTier"), Begin: begin, End: c.recording.Now(), Request: a.request})
	if a.text("status") != string(domain.OrganizationActive) {
		a.result, a.code = Refused, a.text("status")
	}
	c.used("shown as active", a, begin, Lasting(o.key()))
}
