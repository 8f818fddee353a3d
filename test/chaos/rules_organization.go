package chaos

import (
	"fmt"
	"math"
	"time"

	"github.com/sentryagent/agentidp/domain"
)

func (h *History) organization(id domain.OrganizationID) *past[domain.Organization] {
	if h.organizations[id] == nil {
		h.organizations[id] = &past[domain.Organization]{}
	}
	return h.organizations[id]
}

// takeOrganization judges an event of an organization's stream.
func (h *History) takeOrganization(o occurrence) error {
	id, command := h.organizationCommand(o)
	p := h.organization(id)
	events, err := p.now.Decide(command)
	verdict := decided(events, err, o.fact)
	if wrong := onStream(o, domain.OrganizationStream(id)); wrong != nil {
		verdict = wrong
	}
	if verdict == nil {
		verdict = h.checkAroundOrganization(o)
	}
	if created, ok := o.fact.(domain.OrganizationCreated); ok {
		h.onceText("slug "+created.Slug, o.position)
	}
	p.change(p.now.Evolve(o.fact, o.at), o.at)
	return verdict
}

// anyAdminActs: how the admins' agents stood when the decision was made is on
// other streams, and may have been otherwise than it is here.
func (h *History) anyAdminActs(id domain.OrganizationID) map[domain.AgentID]domain.Agent {
	agents := make(map[domain.AgentID]domain.Agent)
	for member := range h.organization(id).now.Members {
		agents[member] = domain.Agent{Status: domain.AgentActive, Edition: math.MaxInt, Confirmed: math.MaxInt}
	}
	return agents
}

func (h *History) organizationCommand(o occurrence) (domain.OrganizationID, domain.OrganizationCommand) {
	who := anybody(o.organization)
	status := func(s domain.OrganizationStatus) domain.UpdateOrganization {
		return domain.UpdateOrganization{Caller: who, Status: &s}
	}
	switch e := o.fact.(type) {
	case domain.OrganizationCreated:
		return e.OrganizationID, domain.CreateOrganization{
			Caller: who, OrganizationID: e.OrganizationID, Name: e.Name, Slug: e.Slug, PlanTier: e.PlanTier, MaxAgents: e.MaxAgents,
			MaxCallsPerDay: e.MaxCallsPerDay, MaxTokensPerDay: e.MaxTokensPerDay, MaxTokensPerMonth: e.MaxTokensPerMonth,
		}
	case domain.OrganizationUpdated:
		return e.OrganizationID, domain.UpdateOrganization{
			Caller: who, Name: e.Name, MaxAgents: e.MaxAgents,
			MaxCallsPerDay: e.MaxCallsPerDay, MaxTokensPerDay: e.MaxTokensPerDay, MaxTokensPerMonth: e.MaxTokensPerMonth,
		}
	case domain.TierChanged:
		return e.OrganizationID, domain.UpdateOrganization{Caller: who, PlanTier: &e.To, Reason: e.Reason}
	case domain.OrganizationSuspended:
		return e.OrganizationID, status(domain.OrganizationIsSuspended)
	case domain.OrganizationReactivated:
		return e.OrganizationID, status(domain.OrganizationActive)
	case domain.OrganizationAccessRevoked:
		return e.OrganizationID, domain.RevokeOrganizationsAccess{Caller: who, Reason: e.Reason, Credentials: e.Credentials}
	case domain.OrganizationDeleted:
		return e.OrganizationID, domain.DeleteOrganization{Caller: who}
	case domain.CreationAbandoned:
		return e.OrganizationID, domain.AbandonCreation(e)
	case domain.MemberAdded:
		return e.OrganizationID, domain.AddMember{Caller: who, AgentID: e.AgentID, Role: e.Role}
	case domain.MemberRoleChanged:
		return e.OrganizationID, domain.ChangeMemberRole{Caller: who, AgentID: e.AgentID, Role: e.Role, Agents: h.anyAdminActs(e.OrganizationID)}
	case domain.MemberRemoved:
		return e.OrganizationID, domain.RetireMember{AgentID: e.AgentID, Agents: h.anyAdminActs(e.OrganizationID)}
	case domain.MemberSuspended:
		return e.OrganizationID, domain.SuspendMember{Caller: who, AgentID: e.AgentID, Edition: e.Edition}
	}
	return domain.OrganizationID{}, nil
}

func (h *History) checkAroundOrganization(o occurrence) error {
	switch e := o.fact.(type) {
	case domain.OrganizationCreated:
		if claim := h.claims[domain.ClaimStream(domain.ClaimSlug, e.Slug)]; claim.Owner != e.OrganizationID.UUID {
			return breaks(RuleClaimed, "the slug %s is claimed by %s", e.Slug, claim.Owner)
		}
	case domain.OrganizationDeleted:
		if !h.seats[e.OrganizationID].Closed {
			return breaks(RuleSeated, "its seats are not closed")
		}
	case domain.MemberAdded:
		if h.agent(e.AgentID).now.OrganizationID != e.OrganizationID {
			return breaks(RuleOrganization, "the agent %s is not of this organization", e.AgentID)
		}
	}
	return nil
}

// organizationWasActive: what goes on in an organization needs it active. It is
// another stream than that of the event, so it may have been looked at before.
func (h *History) organizationWasActive(id domain.OrganizationID, o occurrence) error {
	err := anyOf(h.organization(id).possible(o.at), domain.Organization.MustBeActive)
	if err != nil {
		return breaks(RuleOrganization, "organization %s: %v", id, err)
	}
	return nil
}

// largestCap is the largest number of seats that an organization may have been
// known to have.
func (h *History) largestCap(id domain.OrganizationID, at time.Time) int {
	largest := 0
	for _, o := range h.organization(id).possible(at) {
		switch limit := o.Limits().MaxAgents; {
		case !o.Exists():
		case limit == domain.Unlimited:
			return domain.Unlimited
		default:
			largest = max(largest, limit)
		}
	}
	return largest
}

// takeSeats judges an event of an organization's seats.
func (h *History) takeSeats(o occurrence) error {
	id := o.organization
	var command domain.SeatsCommand
	var verdict error
	switch e := o.fact.(type) {
	case domain.SeatTaken:
		id, command = e.OrganizationID, domain.TakeSeat{
			OrganizationID: e.OrganizationID, AgentID: e.AgentID, Cap: h.largestCap(e.OrganizationID, o.at),
		}
	case domain.SeatReleased:
		id, command = e.OrganizationID, domain.ReleaseSeat(e)
		if agent := h.agent(e.AgentID).now; agent.Status != domain.AgentIsGone && !agent.Abandoned() {
			verdict = breaks(RuleSeated, "the agent %s may still need its seat", e.AgentID)
		}
	case domain.SeatsClosed:
		id, command = e.OrganizationID, domain.CloseSeats(e)
	}
	seats := h.seats[id]
	events, err := seats.Decide(command)
	if err := decided(events, err, o.fact); err != nil {
		verdict = breaks(RuleSeated, "%v", err)
	}
	if wrong := onStream(o, domain.SeatsStream(id)); wrong != nil {
		verdict = wrong
	}
	h.seats[id] = seats.Evolve(o.fact, o.at)
	return verdict
}

// takeClaim judges an event of a claim. A claim passes on only from who can
// never come to life.
func (h *History) takeClaim(o occurrence) error {
	var command domain.MakeClaim
	var verdict error
	switch e := o.fact.(type) {
	case domain.ClaimMade:
		command = domain.MakeClaim{Kind: e.Kind, Owner: e.Owner, OrganizationID: e.OrganizationID}
	case domain.ClaimTakenOver:
		command = domain.MakeClaim(e)
		abandoned := h.agent(domain.AgentID{UUID: e.From}).now.Abandoned()
		if e.Kind == domain.ClaimSlug {
			abandoned = h.organization(domain.OrganizationID{UUID: e.From}).now.Abandoned()
		}
		if !abandoned {
			verdict = breaks(RuleClaimed, "it was taken from %s, who was not abandoned", e.From)
		}
	}
	claim := h.claims[o.stream]
	events, err := claim.Decide(command)
	if err := decided(events, err, o.fact); err != nil {
		verdict = breaks(RuleClaimed, "%v", err)
	}
	h.claims[o.stream] = claim.Evolve(o.fact, o.at)
	if verdict != nil {
		return fmt.Errorf("claim: %w", verdict)
	}
	return nil
}
