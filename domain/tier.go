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
	MaxCallsPerDay    int // API calls on a day (UTC)
	MaxTokensPerDay   int // tokens issued on a day (UTC)
	MaxTokensPerMonth int // tokens issued in a calendar month (UTC)
	RetentionDays     int // how far back the audit query shows
}

// tierLimits is the price list: what each tier allows, before an
// organization's own overrides.
var tierLimits = map[Tier]Limits{
	TierFree: {
		MaxAgents: 10, MaxCallsPerDay: 1_000, MaxTokensPerDay: 1_000, MaxTokensPerMonth: 10_000, RetentionDays: 90,
	},
	TierPro: {
		MaxAgents: 100, MaxCallsPerDay: 50_000, MaxTokensPerDay: 50_000, MaxTokensPerMonth: Unlimited, RetentionDays: 365,
	},
	TierEnterprise: {
		MaxAgents: Unlimited, MaxCallsPerDay: Unlimited, MaxTokensPerDay: Unlimited, MaxTokensPerMonth: Unlimited, RetentionDays: Unlimited,
	},
}

// Limits of the tier, before an organization's own overrides. A tier that
// there is not allows what free does.
func (t Tier) Limits() Limits {
	if limits, known := tierLimits[t]; known {
		return limits
	}
	return tierLimits[TierFree]
}

func (t Tier) validate() error {
	return validateOneOf("planTier", t, TierFree, TierPro, TierEnterprise)
}

// ChangeTier moves an organization to another tier, for a reason that goes on
// record. Moving below what the organization has already is allowed: it ends
// nothing and only lets nothing new in.
type ChangeTier struct {
	Caller Caller
	Tier   Tier
	Reason string
}

func (c ChangeTier) decide(o Organization) ([]Event, error) {
	if err := mustBeOperator(c.Caller); err != nil {
		return nil, err
	}
	if err := o.mayChange(c.Caller); err != nil {
		return nil, err
	}
	if err := validateLine("reason", c.Reason, 1, maxReasonLength); err != nil {
		return nil, err
	}
	changed, err := o.changeTier(c.Tier, c.Reason)
	if changed == nil || err != nil {
		return nil, err
	}
	return []Event{changed}, nil
}

// changeTier is nil when the organization is on that tier already.
func (o Organization) changeTier(to Tier, reason string) (Event, error) {
	if to == o.Tier {
		return nil, nil
	}
	if err := to.validate(); err != nil {
		return nil, err
	}
	if o.isSystem() && to != TierEnterprise {
		return nil, errSystemUnlimited.With("field", "planTier")
	}
	return TierChanged{OrganizationID: o.ID, From: o.Tier, To: to, Reason: reason}, nil
}
