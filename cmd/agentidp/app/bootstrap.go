package app

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
	"github.com/sentryagent/agentidp/projections"
)

const (
	systemSlug    = "system"
	operatorEmail = "operator@system.agentidp.invalid" // RFC 2606: a name that can never be somebody's
)

// Operator is the platform operator's agent. ClientSecret is set only when it
// was made just now: it cannot be shown twice.
type Operator struct {
	ClientID       string `json:"clientId"`
	ClientSecret   string `json:"clientSecret,omitempty"`
	OrganizationID string `json:"organizationId"`
	BaseURL        string `json:"baseUrl"`
}

// Bootstrap makes sure that the system organization and the operator's agent
// exist. The agent gets a credential when it has none, or when newCredential
// asks for one. It is idempotent and may be repeated after a crash.
func Bootstrap(ctx context.Context, c config.Config, newCredential bool) (Operator, error) {
	pool, err := OpenDatabase(ctx, c)
	if err != nil {
		return Operator{}, err
	}
	defer pool.Close()
	if err := migrations.Check(ctx, pool); err != nil {
		return Operator{}, err
	}
	store, err := openEngine(ctx, c, pool, nil, nil)
	if err != nil {
		return Operator{}, err
	}
	defer store.Close()
	if err := projections.NewAnchor(pool, store, newQueries(c, pool, store)).Check(ctx); err != nil {
		return Operator{}, adoptFirst(err)
	}
	keys, err := keyring.Open(ctx, pool, c.MasterKeyFile)
	if err != nil {
		return Operator{}, fmt.Errorf("signing keys: %w", err)
	}
	b := bootstrapper{ledger: ledger.New(store, nil, nil, ledger.Options{}), keys: keys}
	organization, err := b.organization(ctx)
	if err != nil {
		return Operator{}, fmt.Errorf("system organization: %w", err)
	}
	b.caller.OrganizationID = organization
	agent, err := b.agent(ctx, organization, api.DID(c.DIDWebDomain))
	if err != nil {
		return Operator{}, fmt.Errorf("operator agent: %w", err)
	}
	operator := Operator{ClientID: agent.ID.String(), OrganizationID: organization.String(), BaseURL: c.PublicURL}
	if newCredential || !hasUsableCredential(agent) {
		operator.ClientSecret, err = b.credential(ctx, agent.ID)
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
		Slug:           systemSlug,
		PlanTier:       domain.TierEnterprise,
	})
	if !errors.Is(err, &domain.Error{Code: domain.CodeSlugTaken}) {
		return outcome.State.ID, err
	}
	owner, err := b.ledger.ClaimedBy(ctx, domain.ClaimSlug, systemSlug)
	return domain.OrganizationID{UUID: owner}, err
}

func (b *bootstrapper) agent(ctx context.Context, organization domain.OrganizationID, did func(domain.AgentID) string) (domain.Agent, error) {
	id := domain.AgentID{UUID: ledger.NewID()}
	outcome, err := b.ledger.RegisterAgent(ctx, ledger.System(), domain.RegisterAgent{
		Caller:         b.caller,
		AgentID:        id,
		OrganizationID: organization,
		Email:          operatorEmail,
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
	owner, err := b.ledger.EmailClaimedBy(ctx, organization, operatorEmail)
	if err != nil {
		return domain.Agent{}, err
	}
	return b.ledger.Agent(ctx, owner)
}

func hasUsableCredential(agent domain.Agent) bool {
	for _, credential := range agent.Credentials {
		if credential.UsableAt(time.Now()) {
			return true
		}
	}
	return false
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
