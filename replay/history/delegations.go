package history

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

const (
	// maxDelegations bounds how many delegations are told of one agent.
	maxDelegations = 100
	// Delegations whose time had run out longer ago than this are not told.
	delegationMemory = domain.MaxDelegationTTL * time.Second
)

// Role is an agent's part in a delegation.
type Role string

const (
	Delegator Role = "delegator"
	Delegatee Role = "delegatee"
)

// DelegationState is a delegation at a moment. It was alive when it and every
// link above it was neither revoked nor expired nor had ended with its
// credential, and every agent on the way, and the organization, were active.
type DelegationState struct {
	Thing
	Role    Role     `json:"role"`
	Alive   bool     `json:"alive"`
	Reasons []Reason `json:"reasons"` // why not; none when alive

	lent *Lent // what could be got with it; nil when nothing
}

// delegationsOf tells the newest delegations that an agent had part in, and how
// many there were.
func (h *History) delegationsOf(ctx context.Context, of past[domain.Agent], tenant past[domain.Organization], at instant) ([]DelegationState, int, error) {
	ids, total, err := h.delegationsWith(ctx, of.state, at)
	if err != nil {
		return nil, 0, err
	}
	c := h.chains(tenant, at)
	c.agents[of.state.ID] = of
	states := []DelegationState{}
	for _, id := range ids {
		link, err := c.link(ctx, id)
		if err != nil {
			return nil, 0, err
		}
		if !link.state.Exists() {
			total--
			continue // made after the moment, by a clock that was behind
		}
		reasons, err := c.judge(ctx, link)
		if err != nil {
			return nil, 0, err
		}
		role := Delegatee
		if link.state.DelegatorID == of.state.ID {
			role = Delegator
		}
		told, err := c.withEnd(ctx, link)
		if err != nil {
			return nil, 0, err
		}
		state := DelegationState{Thing: told, Role: role, Alive: len(reasons) == 0, Reasons: reasons}
		if state.Alive && role == Delegatee {
			if state.lent, err = c.lent(ctx, link); err != nil {
				return nil, 0, err
			}
		}
		states = append(states, state)
	}
	return states, total, nil
}

// endedWithCredential is the event that ended the credential which a delegation
// was made with: the first on the stream of its delegator that came after its
// making, or after what was known of the delegator then.
func endedWithCredential(link past[domain.Delegation], delegator past[domain.Agent]) (EventRef, bool) {
	made := link.things[0].Facts[0].Event // what never changes is so by the first event
	for _, end := range delegator.ended[link.state.CredentialID] {
		if link.state.EndsWith(end.Revision, end.order > made.order) {
			return end, true
		}
	}
	return EventRef{}, false
}

// accessEnded is the first event after the making of a delegation that ended all
// access of one of its agents, or of their organization.
func (c *chains) accessEnded(ctx context.Context, link past[domain.Delegation]) (first EventRef, ended bool, err error) {
	made := link.things[0].Facts[0].Event
	ends := slices.Clone(c.tenant.access)
	for _, id := range []domain.AgentID{link.state.DelegatorID, link.state.DelegateeID} {
		agent, err := c.agent(ctx, id)
		if err != nil {
			return first, false, err
		}
		ends = append(ends, agent.access...)
	}
	for _, end := range ends {
		if end.order > made.order && (!ended || end.order < first.order) {
			first, ended = end, true
		}
	}
	return first, ended, nil
}

// withEnd says of a delegation that ended with what it rests on that it was
// revoked, by the event that ended that, as the read model does.
func (c *chains) withEnd(ctx context.Context, link past[domain.Delegation]) (Thing, error) {
	delegator, err := c.agent(ctx, link.state.DelegatorID)
	if err != nil {
		return Thing{}, err
	}
	end, ended := endedWithCredential(link, delegator)
	access, revoked, err := c.accessEnded(ctx, link)
	if err != nil {
		return Thing{}, err
	}
	if revoked && (!ended || access.order < end.order) {
		end, ended = access, true
	}
	return revokedBy(link, end, ended), nil
}

func revokedBy(link past[domain.Delegation], end EventRef, ended bool) Thing {
	t := link.things[0]
	if !ended || !end.Time.Before(link.state.ExpiresAt) {
		return t
	}
	facts := slices.Clone(t.Facts)
	for i := range facts {
		if f := &facts[i]; f.Name == "revokedAt" && (f.Value == nil || end.order < f.Event.order) {
			f.Value, f.Event = moment(latest(end.Time, link.state.CreatedAt)), end
		}
	}
	t.Facts = facts
	return t
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// lent is what a token would carry that a link is exchanged for: what is lent
// and the agent at the root still had.
func (c *chains) lent(ctx context.Context, link past[domain.Delegation]) (*Lent, error) {
	lent := &Lent{ChainID: link.state.ID, Until: link.state.ExpiresAt}
	scopes := link.state.Scopes
	for range domain.MaxDelegationDepth {
		if link.state.ParentID.IsZero() {
			break
		}
		var err error
		if link, err = c.link(ctx, link.state.ParentID); err != nil {
			return nil, err
		}
	}
	root, err := c.agent(ctx, link.state.DelegatorID)
	lent.From, lent.Email, lent.Scopes = root.state.ID, root.state.Email, scopes.Within(root.state.Scopes)
	return lent, err
}

// delegationsWith finds the ids: in the read model and, where that is behind, in what
// the ledger has after it.
func (h *History) delegationsWith(ctx context.Context, agent domain.Agent, at instant) ([]domain.DelegationID, int, error) {
	wanted := readmodels.PartIn{
		AgentID: agent.ID, Position: at.position, EndsAfter: at.time.Add(-delegationMemory), Limit: maxDelegations,
	}
	if at.position == 0 {
		wanted.CreatedBy = at.time
	}
	known, err := h.source.Finder.DelegationsOf(ctx, readmodels.InOrganization(agent.OrganizationID), wanted)
	if err != nil {
		return nil, 0, err
	}
	ids, total := known.IDs, known.Total
	made := domain.DelegationCreated{}.EventType()
	filter := eventstore.Filter{Types: []string{string(made)}, Organization: agent.OrganizationID.UUID}
	for event, err := range h.source.Events.ReadAll(ctx, known.Position, filter) {
		if err != nil {
			return nil, 0, fmt.Errorf("read delegations after position %d: %w", known.Position, err)
		}
		created, err := DelegationIn(event)
		if err != nil {
			return nil, 0, err
		}
		if PartIn(created, wanted) && at.includes(event) && !slices.Contains(ids, created.DelegationID) {
			ids, total = append([]domain.DelegationID{created.DelegationID}, ids...), total+1
		}
	}
	return ids[:min(len(ids), maxDelegations)], total, nil
}

// chains judges delegations of one organization at one instant and reads no
// stream twice.
type chains struct {
	history *History
	at      instant
	tenant  past[domain.Organization]
	agents  map[domain.AgentID]past[domain.Agent]
	links   map[domain.DelegationID]past[domain.Delegation]
}

func (h *History) chains(tenant past[domain.Organization], at instant) *chains {
	return &chains{history: h, at: at, tenant: tenant,
		agents: map[domain.AgentID]past[domain.Agent]{}, links: map[domain.DelegationID]past[domain.Delegation]{}}
}

func (c *chains) link(ctx context.Context, id domain.DelegationID) (past[domain.Delegation], error) {
	if known, found := c.links[id]; found {
		return known, nil
	}
	link, err := c.history.delegation(ctx, id, c.at)
	c.links[id] = link
	return link, err
}

func (c *chains) agent(ctx context.Context, id domain.AgentID) (past[domain.Agent], error) {
	if known, found := c.agents[id]; found {
		return known, nil
	}
	agent, err := c.history.agent(ctx, id, c.at)
	c.agents[id] = agent
	return agent, err
}

// judge goes up from a link to the root, as the check of tokens does, and says
// everything that ended it.
func (c *chains) judge(ctx context.Context, link past[domain.Delegation]) ([]Reason, error) {
	reasons := []Reason{}
	if c.tenant.state.MustBeActive() != nil {
		reasons = append(reasons, reason(domain.AuthOrganizationInactive, c.tenant.things[0].Facts.Get("status")))
	}
	for range domain.MaxDelegationDepth + 1 {
		facts := link.things[0].Facts
		switch d := link.state; {
		case !d.RevokedAt.IsZero():
			reasons = append(reasons, Reason{"delegation_revoked", fmt.Sprintf("the delegation %s was revoked", d.ID), facts.Get("revokedAt").Event})
		case !c.at.time.Before(d.ExpiresAt):
			reasons = append(reasons, Reason{"delegation_expired", fmt.Sprintf("the delegation %s had expired", d.ID), facts.Get("expiresAt").Event})
		}
		for _, id := range []domain.AgentID{link.state.DelegatorID, link.state.DelegateeID} {
			agent, err := c.agent(ctx, id)
			if err != nil {
				return nil, err
			}
			// Only a credential of the delegator's is found among those it had.
			if end, ended := endedWithCredential(link, agent); ended {
				reasons = append(reasons, Reason{"delegation_credential_ended",
					fmt.Sprintf("the credential that the delegation %s was made with was revoked or rotated", link.state.ID), end})
			}
			if agent.state.Exists() && agent.state.Status != domain.AgentActive {
				refused := agent.state.Admits(domain.Credential{Status: domain.CredentialActive}, c.at.time)
				reasons = append(reasons, reasonOf(refused, agent.things[0].Facts.Get("status")))
			}
		}
		end, ended, err := c.accessEnded(ctx, link)
		if err != nil {
			return nil, err
		}
		if ended {
			reasons = append(reasons, Reason{"delegation_access_revoked",
				fmt.Sprintf("after the delegation %s was made, all access of one of its agents or of their organization was revoked", link.state.ID), end})
		}
		if link.state.ParentID.IsZero() {
			return distinct(reasons), nil
		}
		if link, err = c.link(ctx, link.state.ParentID); err != nil || !link.state.Exists() {
			return distinct(reasons), err
		}
	}
	return distinct(reasons), nil
}

// distinct leaves out what is said twice: neighbours in a chain share an agent.
func distinct(reasons []Reason) []Reason {
	seen := map[EventRef]bool{}
	return slices.DeleteFunc(reasons, func(r Reason) bool {
		again := seen[r.Event]
		seen[r.Event] = true
		return again
	})
}
