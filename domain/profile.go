package domain

import (
	"encoding/json"
	"regexp"
	"slices"
)

// AgentType says what an agent does.
type AgentType string

const (
	AgentScreener     AgentType = "screener"
	AgentClassifier   AgentType = "classifier"
	AgentOrchestrator AgentType = "orchestrator"
	AgentExtractor    AgentType = "extractor"
	AgentSummarizer   AgentType = "summarizer"
	AgentRouter       AgentType = "router"
	AgentMonitor      AgentType = "monitor"
	AgentCustom       AgentType = "custom"
)

// DeploymentEnv says where an agent runs.
type DeploymentEnv string

const (
	EnvDevelopment DeploymentEnv = "development"
	EnvStaging     DeploymentEnv = "staging"
	EnvProduction  DeploymentEnv = "production"
)

// Profile is what an agent says of itself and may change.
type Profile struct {
	AgentType     AgentType       `json:"agentType"`
	Version       string          `json:"version"`      // semantic version
	Capabilities  []string        `json:"capabilities"` // 0-64 of resource:action
	Owner         string          `json:"owner"`        // 1-128 characters
	DeploymentEnv DeploymentEnv   `json:"deploymentEnv"`
	Description   string          `json:"description"`        // 0-1024 characters
	Metadata      json.RawMessage `json:"metadata,omitempty"` // a JSON object of at most 8 KiB; never empty in an event
	IsPublic      bool            `json:"isPublic"`           // listed in the marketplace
}

const (
	maxNameLength        = 128
	maxDescriptionLength = 1024
	maxReasonLength      = 256
	maxVersionLength     = 64
	maxCapabilities      = 64
	maxCapabilityLength  = 128
	maxEmailLength       = 254
)

var (
	// https://semver.org, the pattern that the specification suggests.
	semverPattern = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)` +
		`(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?` +
		`(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?$`)
	capabilityPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]*:[a-z0-9*][a-z0-9_.*-]*$`)
)

// normalized has empty collections where there were none, and metadata in the
// form that the ledger gives back. It shares nothing with p.
func (p Profile) normalized() Profile {
	p.Capabilities = append([]string{}, p.Capabilities...)
	p.Metadata = normalizeMetadata(p.Metadata)
	return p
}

func (p Profile) validate() error {
	if err := validateOneOf("agentType", p.AgentType, AgentScreener, AgentClassifier, AgentOrchestrator, AgentExtractor,
		AgentSummarizer, AgentRouter, AgentMonitor, AgentCustom); err != nil {
		return err
	}
	if err := validateOneOf("deploymentEnv", p.DeploymentEnv, EnvDevelopment, EnvStaging, EnvProduction); err != nil {
		return err
	}
	if len(p.Version) > maxVersionLength || !semverPattern.MatchString(p.Version) {
		return Invalid("version", "must be a semantic version such as 1.4.0, of at most 64 characters", maxVersionLength)
	}
	if err := validateCapabilities(p.Capabilities); err != nil {
		return err
	}
	if err := validateLine("owner", p.Owner, 1, maxNameLength); err != nil {
		return err
	}
	if err := validateText("description", p.Description, 0, maxDescriptionLength); err != nil {
		return err
	}
	return validateMetadata(p.Metadata)
}

func validateCapabilities(capabilities []string) error {
	if len(capabilities) > maxCapabilities {
		return Invalid("capabilities", "has too many entries", maxCapabilities)
	}
	for i, capability := range capabilities {
		switch {
		case len(capability) > maxCapabilityLength:
			return Invalid("capabilities", "has an entry that is too long", maxCapabilityLength).With("index", i)
		case !capabilityPattern.MatchString(capability):
			return Invalid("capabilities", "must have the form resource:action, in lower case", capabilityPattern.String()).With("index", i)
		case slices.Contains(capabilities[:i], capability):
			return Invalid("capabilities", "names something twice", nil).With("index", i)
		}
	}
	return nil
}
