package wire

import (
	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/domain"
)

// AgentCard is the simple card of an agent, issued when the agent last changed.
func AgentCard(a domain.Agent, did, issuer string) gen.AgentCard {
	return gen.AgentCard{
		Did: did, Name: a.Email, AgentType: gen.AgentType(a.Profile.AgentType), Capabilities: a.Profile.Capabilities, Owner: a.Profile.Owner,
		Version: a.Profile.Version, DeploymentEnv: gen.DeploymentEnv(a.Profile.DeploymentEnv), IdentityProvider: issuer,
		IssuedAt: Time(a.UpdatedAt),
	}
}
