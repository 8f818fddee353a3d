package domain

// Tier is an organization's plan.
type Tier string

const (
	TierFree       Tier = "free"
	TierPro        Tier = "pro"
	TierEnterprise Tier = "enterprise"
)

// Unlimited is the limit that is never reached.
const Unlimited = -1

// Limits is what a tier allows. [Unlimited] means no bound.
type Limits struct {
	MaxAgents         int // active agents
	MaxTokensPerMonth int // tokens issued in a calendar month (UTC)
	RetentionDays     int // how far back the audit query shows
}

// Limits of the tier, before an organization's own overrides.
func (t Tier) Limits() Limits {
	switch t {
	case TierEnterprise:
		return Limits{MaxAgents: Unlimited, MaxTokensPerMonth: Unlimited, RetentionDays: Unlimited}
	case TierPro:
		return Limits{MaxAgents: 100, MaxTokensPerMonth: Unlimited, RetentionDays: 365}
	default:
		return Limits{MaxAgents: 10, MaxTokensPerMonth: 10_000, RetentionDays: 90}
	}
}

func (t Tier) validate() error {
	return validateOneOf("planTier", t, TierFree, TierPro, TierEnterprise)
}
