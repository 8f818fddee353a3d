package history

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// AgentState is who an agent was and what it could do at a moment.
type AgentState struct {
	At           At                `json:"at"`
	Agent        Thing             `json:"agent"`
	Organization Thing             `json:"organization"`
	Credentials  []CredentialState `json:"credentials"` // oldest first
	Delegations  []DelegationState `json:"delegations"` // newest first
	// DelegationsTotal is more than there are in Delegations when there were
	// more than are told.
	DelegationsTotal int    `json:"delegationsTotal"`
	Role             *Fact  `json:"role,omitempty"` // as a member of the organization; nil when it was none
	Tokens           Tokens `json:"tokens"`
}

// CredentialState is a credential at a moment.
type CredentialState struct {
	Thing
	Usable bool `json:"usable"` // by itself: neither revoked nor expired
}

// Tokens is the conclusion: whether the agent could get tokens of its own, and
// which it could get for others. Limits on how many are not part of it.
type Tokens struct {
	Possible bool          `json:"possible"`
	Scopes   domain.Scopes `json:"scopes"`  // that a token of its own could have; none when not possible
	Reasons  []Reason      `json:"reasons"` // why not; none when possible
	Lent     []Lent        `json:"lent"`    // by delegation, newest first; none when not possible
}

// Lent is what an agent could get by exchanging a delegation: authority of
// another, for a time.
type Lent struct {
	ChainID domain.DelegationID `json:"chainId"`
	From    domain.AgentID      `json:"agentId"` // whose authority it is: at the root of the chain
	Email   string              `json:"email"`
	Scopes  domain.Scopes       `json:"scopes"`
	Until   time.Time           `json:"expiresAt"`
}

// Reason is why something was not possible, and the event that made it so.
type Reason struct {
	Code    string   `json:"code"`
	Message string   `json:"message"`
	Event   EventRef `json:"event"`
}

// Agent tells who an agent was and what it could do. The error is a
// [*domain.Error] when the caller may not know, or when there was no such agent
// at the moment.
func (h *History) Agent(ctx context.Context, caller domain.Caller, id domain.AgentID, m Moment) (AgentState, error) {
	at, err := h.instant(ctx, m)
	if err != nil {
		return AgentState{}, err
	}
	if err := h.mayBeTold(ctx, caller, id); err != nil {
		return AgentState{}, err
	}
	was, err := h.agent(ctx, id, at)
	if err != nil {
		return AgentState{}, err
	}
	if !was.state.Exists() {
		return AgentState{}, neverWas(domain.CodeAgentNotFound, "agent", was.next)
	}
	tenant, err := h.organization(ctx, was.state.OrganizationID, at)
	if err != nil {
		return AgentState{}, err
	}
	was.state = was.state.InEra(tenant.state.Era)
	state := AgentState{At: at.at(), Agent: was.things[0], Organization: tenant.thing(OrganizationThing, was.state.OrganizationID.UUID)}
	for _, c := range was.state.Credentials {
		told := asOf(inEra(was.thing(CredentialThing, c.ID.UUID), c, tenant), c, at.time)
		state.Credentials = append(state.Credentials, CredentialState{Thing: told, Usable: c.UsableAt(at.time)})
	}
	state.Tokens = conclude(was.state, tenant.state, state, at)
	if role := tenant.thing(MemberThing, id.UUID).Facts.Get("role"); role.Value != nil {
		state.Role = &role
	}
	state.Delegations, state.DelegationsTotal, err = h.delegationsOf(ctx, was, tenant, at)
	state.Tokens.Lent = []Lent{}
	for _, d := range state.Delegations {
		// An exchange takes a token of the agent's own.
		if state.Tokens.Possible && d.lent != nil && len(d.lent.Scopes) > 0 {
			state.Tokens.Lent = append(state.Tokens.Lent, *d.lent)
		}
	}
	return state, err
}

// mayBeTold refuses what is not in the caller's organization, whether or not it
// existed at the moment, and before any of it is read but whose it is.
func (h *History) mayBeTold(ctx context.Context, caller domain.Caller, id domain.AgentID) error {
	owner, found, err := eventstore.OwnerOfWhole(ctx, h.source.Events, domain.AgentStream(id))
	if err != nil {
		return fmt.Errorf("read whose the agent is: %w", err)
	}
	return caller.MayReach(found, domain.OrganizationID{UUID: owner}, "agent", domain.CodeAgentNotFound)
}

// conclude asks the write side's own rules.
func conclude(agent domain.Agent, organization domain.Organization, told AgentState, at instant) Tokens {
	var reasons []Reason
	if organization.MustBeActive() != nil {
		reasons = append(reasons, reason(domain.AuthOrganizationInactive, told.Organization.Facts.Get("status")))
	}
	if agent.Status != domain.AgentActive {
		refused := agent.Admits(domain.Credential{Status: domain.CredentialActive}, at.time)
		reasons = append(reasons, reasonOf(refused, told.Agent.Facts.Get("status")))
	}
	agent.Status = domain.AgentActive // what is wrong with the agent itself has been said
	var refused []Reason
	for i, c := range agent.Credentials {
		err := agent.Admits(c, at.time)
		if err == nil {
			refused = nil
			break
		}
		refused = append(refused, reasonOf(err, told.Credentials[i].Facts.Get("status")))
	}
	reasons = append(reasons, refused...)
	if len(agent.Credentials) == 0 {
		reasons = append(reasons, reason(noCredential, told.Agent.Facts.Get("createdAt")))
	}
	if len(reasons) > 0 {
		return Tokens{Scopes: domain.Scopes{}, Reasons: reasons}
	}
	return Tokens{Possible: true, Scopes: agent.Scopes, Reasons: []Reason{}}
}

// noCredential is the one reason that the write side has no word for: to it
// whoever has no credential has a wrong one.
const noCredential domain.AuthReason = "no_credential"

var messages = map[domain.AuthReason]string{
	domain.AuthOrganizationInactive: "the organization was not active",
	domain.AuthAgentSuspended:       "the agent was suspended",
	domain.AuthAgentDecommissioned:  "the agent was decommissioned",
	domain.AuthCredentialRevoked:    "the credential was revoked",
	domain.AuthCredentialExpired:    "the credential had expired",
	noCredential:                    "the agent had no credential",
}

func reason(code domain.AuthReason, by Fact) Reason {
	return Reason{Code: string(code), Message: messages[code], Event: by.Event}
}

func reasonOf(err error, by Fact) Reason {
	var refused *domain.AuthError
	if !errors.As(err, &refused) {
		return Reason{}
	}
	return reason(refused.Reason, by)
}
