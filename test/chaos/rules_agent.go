package chaos

import (
	"fmt"

	"github.com/sentryagent/agentidp/domain"
)

func (h *History) agent(id domain.AgentID) *past[domain.Agent] {
	if h.agents[id] == nil {
		h.agents[id] = &past[domain.Agent]{}
	}
	return h.agents[id]
}

// takeAgent judges an event of an agent's stream.
func (h *History) takeAgent(o occurrence) error {
	id, command := agentCommand(o)
	if command == nil {
		return fmt.Errorf("there is no rule for %s", o.fact.EventType())
	}
	p := h.agent(id)
	events, err := p.now.Decide(command(p.now))
	var verdict error
	if _, some := o.fact.(domain.CredentialExpired); some {
		verdict = decidedAmong(events, err, o.fact) // several may expire at once
	} else {
		verdict = decided(events, err, o.fact)
	}
	if wrong := onStream(o, domain.AgentStream(id)); wrong != nil {
		verdict = wrong
	}
	if verdict == nil {
		verdict = h.checkAround(o)
	}
	h.countAgent(o)
	if _, issued := o.fact.(domain.TokenIssued); issued {
		p.now = p.now.Evolve(o.fact, o.at) // nobody decides on when it last had a token
	} else {
		p.change(p.now.Evolve(o.fact, o.at), o.at)
	}
	return verdict
}

// agentCommand is the command that leads to an event, given the state before
// it; nil where there is none.
func agentCommand(o occurrence) (domain.AgentID, func(domain.Agent) domain.AgentCommand) {
	always := func(c domain.AgentCommand) func(domain.Agent) domain.AgentCommand {
		return func(domain.Agent) domain.AgentCommand { return c }
	}
	who := anybody(o.organization)
	switch e := o.fact.(type) {
	case domain.AgentCreated:
		return e.AgentID, always(domain.RegisterAgent{
			Caller: who, AgentID: e.AgentID, OrganizationID: e.OrganizationID, Email: e.Email, Profile: e.Profile, Scopes: e.Scopes, DID: e.DID,
		})
	case domain.AgentUpdated:
		return e.AgentID, always(domain.UpdateAgent{
			Caller: who, AgentType: e.AgentType, Version: e.Version, Capabilities: e.Capabilities, Owner: e.Owner,
			DeploymentEnv: e.DeploymentEnv, Description: e.Description, Metadata: e.Metadata, IsPublic: e.IsPublic, Scopes: e.Scopes,
		})
	case domain.AgentSuspended:
		return e.AgentID, always(domain.ChangeAgentStatus{Caller: who, Status: domain.AgentIsSuspended, Reason: e.Reason})
	case domain.AgentReactivated:
		return e.AgentID, always(domain.ChangeAgentStatus{Caller: who, Status: domain.AgentActive, Reason: e.Reason})
	case domain.AgentDecommissioned:
		return e.AgentID, always(domain.DecommissionAgent{Caller: who, Reason: e.Reason})
	case domain.AgentAccessRevoked:
		return e.AgentID, always(domain.RevokeAgentsAccess{Caller: who, Reason: e.Reason, Credentials: e.Credentials})
	case domain.AdminConfirmed:
		return e.AgentID, always(domain.ConfirmAdmin(e))
	case domain.RegistrationAbandoned:
		return e.AgentID, always(domain.AbandonRegistration(e))
	case domain.TokenRevoked:
		return e.AgentID, always(domain.RevokeToken{TokenID: e.TokenID, ExpiresAt: e.ExpiresAt})
	case domain.TokenIssued:
		return e.AgentID, issueCommand(e)
	case domain.CredentialGenerated:
		return e.AgentID, always(domain.InEra{Era: e.Era, Command: domain.GenerateCredential{
			Caller: who, CredentialID: e.CredentialID, Verifier: e.Verifier, PublicKey: e.PublicKey, ExpiresAt: e.ExpiresAt, At: o.at,
		}})
	case domain.CredentialRotated:
		return e.AgentID, always(domain.RotateCredential{
			Caller: who, CredentialID: e.CredentialID, Verifier: e.Verifier, PublicKey: e.PublicKey, ExpiresAt: e.ExpiresAt, At: o.at,
			KeepDelegations: e.DelegationsKept,
		})
	case domain.CredentialRevoked:
		return e.AgentID, always(domain.RevokeCredential{Caller: who, CredentialID: e.CredentialID, Reason: e.Reason})
	case domain.CredentialExpired:
		return e.AgentID, always(domain.ExpireCredentials{At: o.at})
	case domain.DIDCreated:
		return e.AgentID, always(domain.CreateDID{DID: e.DID, PublicKey: e.PublicKey})
	case domain.DIDKeyRotated:
		return e.AgentID, always(domain.RotateDIDKey{Caller: who, PublicKey: e.PublicKey, Custody: e.Custody})
	}
	return domain.AgentID{}, nil
}

// issueCommand proves what the credential is, as the state has it.
func issueCommand(e domain.TokenIssued) func(domain.Agent) domain.AgentCommand {
	return func(a domain.Agent) domain.AgentCommand {
		credential, _ := a.Credential(e.CredentialID)
		proof := domain.Proof{CredentialID: credential.ID, PublicKey: credential.PublicKey}
		if credential.Kind == domain.SecretCredential {
			proof = domain.Proof{Secret: []domain.Verifier{credential.Verifier}}
		}
		return domain.IssueToken{
			Proof: proof, TokenID: e.TokenID, Scopes: domain.ParseScopes(e.Scope), Audience: e.Audience,
			Algorithm: e.Algorithm, KeyID: e.KeyID, At: e.ExpiresAt.Add(-domain.TokenLifetime),
		}
	}
}

// checkAround judges what an event of an agent needs on other streams.
func (h *History) checkAround(o occurrence) error {
	switch e := o.fact.(type) {
	case domain.AgentCreated:
		claim := h.claims[domain.EmailClaimStream(e.OrganizationID, e.Email)]
		if claim.Owner != e.AgentID.UUID {
			return breaks(RuleClaimed, "the e-mail address %s is claimed by %s", e.Email, claim.Owner)
		}
		if _, seated := h.seats[e.OrganizationID].Taken[e.AgentID]; !seated {
			return breaks(RuleSeated, "the agent %s has no seat", e.AgentID)
		}
		return h.organizationWasActive(e.OrganizationID, o)
	case domain.TokenIssued:
		if err := h.credentialWasOfTheEra(e.AgentID, e.CredentialID, o); err != nil {
			return err
		}
		return h.organizationWasActive(o.organization, o)
	case domain.CredentialRotated:
		return h.credentialWasOfTheEra(e.AgentID, e.CredentialID, o)
	}
	return nil
}

// credentialWasOfTheEra: the organization had not ended the credential, as it may
// have been looked at.
func (h *History) credentialWasOfTheEra(agent domain.AgentID, id domain.CredentialID, o occurrence) error {
	credential, _ := h.agent(agent).now.Credential(id)
	return anyOf(h.organization(o.organization).possible(o.at), func(organization domain.Organization) error {
		if credential.Era < organization.Era {
			return breaks(RuleOrganization, "the credential %s is of era %d, and the organization was in %d", id, credential.Era, organization.Era)
		}
		return nil
	})
}

// countAgent looks after what there may be only one of.
func (h *History) countAgent(o occurrence) {
	switch e := o.fact.(type) {
	case domain.AgentCreated:
		h.onceText(fmt.Sprintf("e-mail address %s in %s", domain.EmailForm(e.Email), e.OrganizationID), o.position)
	case domain.CredentialGenerated:
		h.once("credential", e.CredentialID.UUID, o.position)
	case domain.TokenIssued:
		h.once("token", e.TokenID.UUID, o.position)
	}
}
