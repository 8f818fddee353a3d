package ledger

import (
	"context"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// Client is an agent that has authenticated.
type Client struct {
	Agent      domain.Agent
	Credential domain.Credential
	proof      domain.Proof
	tenants    revocation.View // of this request: from before the client was let in
}

// Authenticate finds the client that a proof is for, for who is about to be
// issued a token. It judges by what this process remembers of the agent, since
// [Ledger.IssueToken] judges again by what its append proves. A refusal rests on
// what the ledger says now, and is a [*domain.AuthError]. Whether the organization
// stands is looked at in [Ledger.OfferToken].
func (l *Ledger) Authenticate(ctx context.Context, id domain.AgentID, proof domain.Proof, at time.Time) (Client, error) {
	client := Client{proof: proof}
	var err error
	if client.tenants, err = l.tenants.Sync(ctx); err != nil {
		return client, err
	}
	client.Agent, err = l.agents.consider(ctx, domain.AgentStream(id), func(a domain.Agent) error {
		var refused error
		client.Credential, refused = inEra(client.tenants, a).Authenticate(proof, at)
		return refused
	})
	return client, err
}

// AuthenticateNow finds the client that a proof is for, as the ledger is now:
// nothing that is done for it looks again. The client's organization stands. A
// refusal is a [*domain.AuthError].
func (l *Ledger) AuthenticateNow(ctx context.Context, id domain.AgentID, proof domain.Proof, at time.Time) (Client, error) {
	client := Client{proof: proof}
	// What there is of the agent and what has ended are asked for at the same
	// time: both are as of now.
	var both sync.WaitGroup
	var syncErr error
	both.Go(func() { client.tenants, syncErr = l.tenants.Sync(ctx) })
	agent, err := l.Agent(ctx, id)
	both.Wait()
	client.Agent = agent
	if err != nil {
		return client, err
	}
	if syncErr != nil {
		return client, syncErr
	}
	if client.Credential, err = inEra(client.tenants, agent).Authenticate(proof, at); err != nil {
		return client, err
	}
	return client, standing(client.tenants, agent.OrganizationID)
}

// inEra is an agent without the credentials that its organization has ended.
func inEra(tenants revocation.View, a domain.Agent) domain.Agent {
	return a.InEra(tenants.Era(a.OrganizationID))
}

// standing refuses a client whose organization is suspended or gone.
func standing(tenants revocation.View, id domain.OrganizationID) error {
	if !tenants.OrganizationActive(id) {
		return &domain.AuthError{Reason: domain.AuthOrganizationInactive}
	}
	return nil
}
