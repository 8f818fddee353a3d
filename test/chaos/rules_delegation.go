package chaos

import (
	"time"

	"github.com/sentryagent/agentidp/domain"
)

func (h *History) delegation(id domain.DelegationID) *past[domain.Delegation] {
	if h.delegations[id] == nil {
		h.delegations[id] = &past[domain.Delegation]{}
	}
	return h.delegations[id]
}

// takeDelegation judges the making and ending of a delegation.
func (h *History) takeDelegation(o occurrence) error {
	var id domain.DelegationID
	var verdict error
	switch e := o.fact.(type) {
	case domain.DelegationCreated:
		id, verdict = e.DelegationID, h.checkCreated(o, e)
	case domain.DelegationRevoked:
		id = e.DelegationID
		d := h.delegation(id).now
		who := anybody(d.OrganizationID)
		who.AgentID = e.RevokedBy
		events, err := d.Decide(domain.RevokeDelegation{Caller: who, Reason: e.Reason})
		verdict = decided(events, err, e)
	}
	if verdict != nil {
		verdict = breaks(RuleDelegation, "%v", verdict)
	}
	if wrong := onStream(o, domain.DelegationStream(id)); wrong != nil {
		verdict = wrong
	}
	p := h.delegation(id)
	p.change(p.now.Evolve(o.fact, o.at), o.at)
	if created, ok := o.fact.(domain.DelegationCreated); ok && created.CredentialID != nil {
		h.madeWith[*created.CredentialID] = append(h.madeWith[*created.CredentialID], id)
		if end, ended := h.ended[*created.CredentialID]; ended && p.now.EndsWith(end, false) {
			h.outlived[id] = o.at
		}
	}
	return verdict
}

// endDelegations notes which delegations an event ends with their credential.
func (h *History) endDelegations(o occurrence) {
	credential := domain.EndedWith(o.fact)
	if credential.IsZero() {
		return
	}
	h.ended[credential] = h.revision(o.stream)
	for _, id := range h.madeWith[credential] {
		h.outlived[id] = o.at
	}
	delete(h.madeWith, credential)
}

// endAccess notes which delegations an event ends with all access of an agent or of
// an organization.
func (h *History) endAccess(o occurrence) {
	for id, p := range h.delegations {
		d := p.now
		var ends bool
		switch e := o.fact.(type) {
		case domain.AgentAccessRevoked:
			ends = e.AgentID == d.DelegatorID || e.AgentID == d.DelegateeID
		case domain.OrganizationAccessRevoked:
			ends = e.OrganizationID == d.OrganizationID
		default:
			return
		}
		if _, already := h.outlived[id]; ends && !already {
			h.outlived[id] = o.at
		}
	}
}

// checkCreated: the delegator had the scopes, and both agents and the
// organization were active, as they may have been seen; a link below another is
// within that one's bounds.
func (h *History) checkCreated(o occurrence, e domain.DelegationCreated) error {
	if err := h.organizationWasActive(e.OrganizationID, o); err != nil {
		return err
	}
	command := domain.CreateDelegation{
		Caller:       domain.Caller{AgentID: e.DelegatorID, OrganizationID: e.OrganizationID},
		DelegationID: e.DelegationID, DelegateeID: e.DelegateeID, Scopes: e.Scopes, TTLSeconds: e.TTLSeconds, MaxDepth: e.MaxDepth,
		At: e.ExpiresAt.Add(-time.Duration(e.TTLSeconds) * time.Second),
	}
	if e.CredentialID != nil {
		command.Caller.CredentialID, command.Revision = *e.CredentialID, e.CredentialRevision
	}
	if known := h.revision(domain.AgentStream(e.DelegatorID)); e.CredentialRevision > known {
		return breaks(RuleDelegation, "it was made with a look at revision %d of its delegator, which was at %d", e.CredentialRevision, known)
	}
	parents := []domain.Delegation{{}}
	if e.ParentID != nil {
		command.Caller.Delegation = *e.ParentID
		parents = h.delegation(*e.ParentID).possible(o.at)
	}
	d := h.delegation(e.DelegationID).now
	return anyOf(h.agent(e.DelegatorID).possible(o.at), func(delegator domain.Agent) error {
		return anyOf(h.agent(e.DelegateeID).possible(o.at), func(delegatee domain.Agent) error {
			return anyOf(parents, func(parent domain.Delegation) error {
				command.Delegator, command.Delegatee, command.Parent = delegator, delegatee, parent
				command.Caller.Scopes = delegator.Scopes
				if e.ParentID != nil {
					command.Caller.Scopes = parent.Scopes
				}
				events, err := d.Decide(command)
				return decided(events, err, e)
			})
		})
	})
}

// takeExchange judges the issuance of a token under a delegation. The
// delegation itself is on the event's own stream; the links above and the
// agents may have been looked at before.
func (h *History) takeExchange(o occurrence, e domain.TokenIssued) error {
	d := h.delegation(*e.Delegation).now
	verdict := h.checkExchange(o, e, d)
	if verdict != nil {
		verdict = breaks(RuleDelegation, "%v", verdict)
	}
	if wrong := onStream(o, domain.DelegationStream(*e.Delegation)); wrong != nil {
		verdict = wrong
	}
	h.once("token", e.TokenID.UUID, o.position)
	return verdict
}

func (h *History) checkExchange(o occurrence, e domain.TokenIssued, d domain.Delegation) error {
	if err := h.organizationWasActive(d.OrganizationID, o); err != nil {
		return err
	}
	if err := anyOf(h.agent(d.DelegateeID).possible(o.at), isActive); err != nil {
		return err
	}
	root, err := h.wholeChain(o, d)
	if err != nil {
		return err
	}
	if e.Subject == nil || *e.Subject != root.DelegatorID {
		return breaks(RuleDelegation, "it is not for the delegator %s", root.DelegatorID)
	}
	// When it was asked for is told by the end of the token, unless that is
	// the end of the delegation.
	at := e.ExpiresAt.Add(-domain.TokenLifetime)
	if created := d.IssuedAt(); at.Before(created) {
		at = created
	}
	return anyOf(h.agent(root.DelegatorID).possible(o.at), func(subject domain.Agent) error {
		events, err := d.Decide(domain.ExchangeDelegation{
			Actor:        domain.Caller{AgentID: e.AgentID, OrganizationID: o.organization},
			CredentialID: e.CredentialID, Subject: subject, TokenID: e.TokenID, Scopes: domain.ParseScopes(e.Scope),
			Audience: e.Audience, Algorithm: e.Algorithm, KeyID: e.KeyID, At: at,
		})
		return decided(events, err, e)
	})
}

// wholeChain goes up to the root: nobody who lent had been suspended, no link
// above revoked, and no link ended with its credential.
func (h *History) wholeChain(o occurrence, link domain.Delegation) (root domain.Delegation, err error) {
	for range domain.MaxDelegationDepth + 1 {
		if ended, outlived := h.outlived[link.ID]; outlived && ended.Before(o.at.Add(-staleness)) {
			return link, breaks(RuleDelegation, "what the delegation %s rests on had ended: the credential that it was made with, or all access of one of its agents", link.ID)
		}
		if err := anyOf(h.agent(link.DelegatorID).possible(o.at), isActive); err != nil || link.ParentID.IsZero() {
			return link, err
		}
		above := h.delegation(link.ParentID)
		if err := anyOf(above.possible(o.at), notRevoked); err != nil {
			return link, err
		}
		link = above.now
	}
	return link, breaks(RuleDelegation, "the chain has no root within its bounds")
}

func notRevoked(d domain.Delegation) error {
	if !d.Exists() || !d.RevokedAt.IsZero() {
		return breaks(RuleDelegation, "a link above is revoked or was never made")
	}
	return nil
}

func isActive(a domain.Agent) error {
	if a.Status != domain.AgentActive {
		return breaks(RuleDelegation, "the agent %s is %q", a.ID, a.Status)
	}
	return nil
}
