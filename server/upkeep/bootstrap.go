package upkeep

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/api"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/migrations"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/server/stores"
)

// Operator is the platform operator's agent. ClientSecret is set only when it
// was made just now: it cannot be shown twice.
type Operator struct {
	ClientID       string `json:"clientId"`
	ClientSecret   string `json:"clientSecret,omitempty"`
	OrganizationID string `json:"organizationId"`
	BaseURL        string `json:"baseUrl"`
	// Replaces is the operator before, which cannot run the platform any more.
	Replaces string `json:"replaces,omitempty"`
	// Older counts the credentials that stay alive beside the one made now.
	Older int `json:"-"`
}

// Bootstrap makes sure that the system organization and the operator's agent
// exist. Where the operator was lost (decommissioned, suspended, or without
// admin:orgs) another one is made. The agent gets a credential when it has none,
// or when newCredential asks for one. It is idempotent and may be repeated after a
// crash.
func Bootstrap(ctx context.Context, c config.Config, newCredential bool) (Operator, error) {
	pool, err := stores.OpenDatabase(ctx, c)
	if err != nil {
		return Operator{}, err
	}
	defer pool.Close()
	if err := migrations.Check(ctx, pool); err != nil {
		return Operator{}, err
	}
	if err := stores.CheckEngine(ctx, pool, c); err != nil {
		return Operator{}, err
	}
	store, err := stores.OpenEngine(ctx, c, pool, nil, nil)
	if err != nil {
		return Operator{}, err
	}
	defer store.Close()
	anchor := readmodels.NewAnchor(pool, store, stores.NewQueries(c, pool, store))
	if _, err := stores.CheckEnd(ctx, c.CheckpointFile, c.LedgerOrigin, anchor, store); err != nil {
		return Operator{}, stores.AdoptFirst(err)
	}
	if err := stores.CheckShared(ctx, pool, stores.SharedSettings(c)...); err != nil {
		return Operator{}, err
	}
	keys, err := keyring.Open(ctx, pool, c.MasterKeyFile)
	if err != nil {
		return Operator{}, fmt.Errorf("signing keys: %w", err)
	}
	b := bootstrapper{ledger: ledger.New(store, nil, nil, ledger.Options{DIDKeys: keyring.NewDIDKeys(pool, keys.MasterKey)}), keys: keys}
	organization, err := b.organization(ctx)
	if err != nil {
		return Operator{}, fmt.Errorf("system organization: %w", err)
	}
	b.caller.OrganizationID = organization
	operator := Operator{OrganizationID: organization.String(), BaseURL: c.PublicURL}
	agent, lost, err := b.operator(ctx, organization, api.DID(c.DIDWebDomain))
	if err != nil {
		return Operator{}, fmt.Errorf("operator agent: %w", err)
	}
	if !lost.IsZero() {
		operator.Replaces = lost.String()
	}
	tenant, err := b.ledger.Organization(ctx, organization)
	if err != nil {
		return Operator{}, fmt.Errorf("system organization: %w", err)
	}
	operator.ClientID, operator.Older = agent.ID.String(), usableCredentials(agent.InEra(tenant.Era))
	if newCredential || operator.Older == 0 {
		operator.ClientSecret, err = b.credential(ctx, agent.ID)
	}
	if err == nil { // the ledger has begun, and it is here
		err = stores.RememberEngine(ctx, pool, c)
	}
	return operator, err
}

type bootstrapper struct {
	ledger *ledger.Ledger
	keys   *keyring.Keyring
	caller domain.Caller
}

func (b *bootstrapper) organization(ctx context.Context) (domain.OrganizationID, error) {
	b.caller.Scopes = domain.AllScopes()
	outcome, err := b.ledger.CreateOrganization(ctx, ledger.System(), domain.CreateOrganization{
		Caller:         b.caller,
		OrganizationID: domain.OrganizationID{UUID: ledger.NewID()},
		Name:           "System",
		Slug:           domain.SystemSlug,
		PlanTier:       domain.TierEnterprise,
	})
	if !errors.Is(err, &domain.Error{Code: domain.CodeSlugTaken}) {
		return outcome.State.ID, err
	}
	owner, err := b.ledger.ClaimedBy(ctx, domain.ClaimSlug, domain.SystemSlug)
	if err != nil {
		return domain.OrganizationID{}, err
	}
	return b.wake(ctx, domain.OrganizationID{UUID: owner})
}

// wake makes the organization active again where it was suspended, as it could be
// before that was refused: nobody else is left who can.
func (b *bootstrapper) wake(ctx context.Context, id domain.OrganizationID) (domain.OrganizationID, error) {
	organization, err := b.ledger.Organization(ctx, id)
	if err != nil || organization.Status != domain.OrganizationIsSuspended {
		return id, err
	}
	active := domain.OrganizationActive
	_, err = b.ledger.UpdateOrganization(ctx, ledger.System(), id, domain.UpdateOrganization{Caller: b.caller, Status: &active})
	return id, err
}

// operator finds the agent that runs the platform, or makes one; lost is the last
// one before it that cannot any more.
func (b *bootstrapper) operator(
	ctx context.Context, organization domain.OrganizationID, did func(domain.AgentID) string,
) (agent domain.Agent, lost domain.AgentID, err error) {
	const most = 1000 // operators that were lost; there were none too many before
	for n := 1; n <= most; n++ {
		if agent, err = b.agent(ctx, organization, domain.OperatorEmail(n), did); err != nil || agent.RunsThePlatform() {
			return agent, lost, err
		}
		lost = agent.ID
	}
	return agent, lost, fmt.Errorf("the addresses up to %s are taken by agents that cannot run the platform", domain.OperatorEmail(most))
}

func (b *bootstrapper) agent(
	ctx context.Context, organization domain.OrganizationID, email string, did func(domain.AgentID) string,
) (domain.Agent, error) {
	id := domain.AgentID{UUID: ledger.NewID()}
	outcome, err := b.ledger.RegisterAgent(ctx, ledger.System(), domain.RegisterAgent{
		Caller:         b.caller,
		AgentID:        id,
		OrganizationID: organization,
		Email:          email,
		Profile: domain.Profile{
			AgentType: domain.AgentCustom, Version: "1.0.0", Owner: "platform", DeploymentEnv: domain.EnvProduction,
			Description: "Operates this AgentIdP: creates organizations and acts in any of them.",
		},
		Scopes: domain.AllScopes(),
		DID:    did(id),
	})
	if !errors.Is(err, &domain.Error{Code: domain.CodeAgentExists}) {
		return outcome.State, err
	}
	owner, err := b.ledger.EmailClaimedBy(ctx, organization, email)
	if err != nil {
		return domain.Agent{}, err
	}
	return b.ledger.Agent(ctx, owner)
}

func usableCredentials(agent domain.Agent) (n int) {
	for _, credential := range agent.Credentials {
		if credential.UsableAt(time.Now()) {
			n++
		}
	}
	return n
}

func (b *bootstrapper) credential(ctx context.Context, agent domain.AgentID) (string, error) {
	secret := api.NewClientSecret()
	keyID, mac := b.keys.CredentialVerifier(secret)
	_, err := b.ledger.GenerateCredential(ctx, ledger.System(), agent, domain.GenerateCredential{
		Caller:       b.caller,
		CredentialID: domain.CredentialID{UUID: ledger.NewID()},
		Verifier:     &domain.Verifier{KeyID: keyID, MAC: mac},
		At:           time.Now(),
	})
	if err != nil {
		return "", fmt.Errorf("operator credential: %w", err)
	}
	return secret, nil
}
