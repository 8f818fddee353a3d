package domain

import (
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestTierTable(t *testing.T) {
	for tier, want := range map[Tier]Limits{
		TierFree:       {10, 1_000, 1_000, 10_000, 90},
		TierPro:        {100, 50_000, 50_000, Unlimited, 365},
		TierEnterprise: {Unlimited, Unlimited, Unlimited, Unlimited, Unlimited},
		"gold":         {10, 1_000, 1_000, 10_000, 90},
	} {
		if got := (Organization{Tier: tier}).Limits(); got != want {
			t.Errorf("%s allows %+v, want %+v", tier, got, want)
		}
	}
}

func TestChangeOfTierIsRecordedWithItsReason(t *testing.T) {
	founded := givenOrganization(t, acmeCreated())
	for name, test := range map[string]struct {
		command ChangeTier
		want    []Event
	}{
		"upgrade":   {ChangeTier{Caller: operator, Tier: TierPro, Reason: "contract 7"}, []Event{TierChanged{OrganizationID: acme, From: TierFree, To: TierPro, Reason: "contract 7"}}},
		"same tier": {ChangeTier{Caller: operator, Tier: TierFree, Reason: "to be sure"}, nil},
	} {
		t.Run(name, func(t *testing.T) { founded.when(test.command).then(test.want...) })
	}
}

func TestChangeOfTierIsRefused(t *testing.T) {
	admin := Caller{AgentID: robot, OrganizationID: acme, Scopes: NewScopes(ScopeAgentsRead)}
	for name, test := range map[string]struct {
		command ChangeTier
		code    Code
		field   string
	}{
		"to its own admin": {ChangeTier{Caller: admin, Tier: TierPro, Reason: "we pay"}, CodeInsufficientScope, ""},
		"without a reason": {ChangeTier{Caller: operator, Tier: TierPro}, CodeValidation, "reason"},
		"blank reason":     {ChangeTier{Caller: operator, Tier: TierPro, Reason: "  "}, CodeValidation, "reason"},
		"long reason":      {ChangeTier{Caller: operator, Tier: TierPro, Reason: strings.Repeat("r", maxReasonLength+1)}, CodeValidation, "reason"},
		"unknown tier":     {ChangeTier{Caller: operator, Tier: "gold", Reason: "shiny"}, CodeValidation, "planTier"},
	} {
		t.Run(name, func(t *testing.T) {
			givenOrganization(t, acmeCreated(), memberAdded(robot, RoleAdmin)).when(test.command).thenRefused(test.code, test.field)
		})
	}
	givenOrganization(t).when(ChangeTier{Caller: operator, Tier: TierPro, Reason: "r"}).thenRefused(CodeOrganizationNotFound, "")
}

func TestOverridesWinAgainstTheTierUntilTheyAreTakenAway(t *testing.T) {
	o := Organization{}.Evolve(OrganizationCreated{
		OrganizationID: acme, PlanTier: TierFree, MaxCallsPerDay: new(5), MaxTokensPerDay: new(0),
	}, noon)
	if got, want := o.Limits(), (Limits{10, 5, 0, 10_000, 90}); got != want {
		t.Errorf("limits %+v, want %+v", got, want)
	}
	o = o.Evolve(TierChanged{OrganizationID: acme, From: TierFree, To: TierPro}, noon)
	o = o.Evolve(OrganizationUpdated{OrganizationID: acme, MaxCallsPerDay: &Override{}, MaxTokensPerDay: &Override{Limit: new(7)}}, noon)
	if got, want := o.Limits(), (Limits{100, 50_000, 7, Unlimited, 365}); got != want {
		t.Errorf("after the change: limits %+v, want %+v", got, want)
	}
}

// A downgrade below what is there ends nothing and lets nothing new in.
func TestDowngradeOnlyBlocksNewAgents(t *testing.T) {
	agents := []AgentID{{UUID: uuid.UUID{15: 1}}, {UUID: uuid.UUID{15: 2}}, {UUID: uuid.UUID{15: 3}}}
	seats := givenSeats(t, seatTaken(agents[0]), seatTaken(agents[1]), seatTaken(agents[2]))
	newcomer := TakeSeat{OrganizationID: acme, AgentID: robot, Cap: 2}
	seats.when(newcomer).thenRefused(CodeAgentCap, "")
	seats.when(ReleaseSeat{OrganizationID: acme, AgentID: agents[0]}).then(SeatReleased{OrganizationID: acme, AgentID: agents[0]}).
		when(newcomer).thenRefused(CodeAgentCap, "")
	givenSeats(t, seatTaken(agents[0])).when(newcomer).then(seatTaken(robot))
}

func TestThePlatformsOrganizationHasNoLimits(t *testing.T) {
	system := acmeCreated()
	system.Slug, system.PlanTier = SystemSlug, TierEnterprise
	none := Override{Limit: new(0)}
	for name, command := range map[string]OrganizationCommand{
		"maxAgents":         UpdateOrganization{Caller: operator, MaxAgents: &none},
		"maxCallsPerDay":    UpdateOrganization{Caller: operator, MaxCallsPerDay: &none},
		"maxTokensPerDay":   UpdateOrganization{Caller: operator, MaxTokensPerDay: &none},
		"maxTokensPerMonth": UpdateOrganization{Caller: operator, MaxTokensPerMonth: &none},
		"planTier":          ChangeTier{Caller: operator, Tier: TierFree, Reason: "too much"},
	} {
		t.Run(name, func(t *testing.T) {
			givenOrganization(t, system).when(command).thenRefused(CodeConflict, name)
		})
	}
	givenOrganization(t, system).when(UpdateOrganization{Caller: operator, PlanTier: new(TierPro)}).thenRefused(CodeConflict, "planTier")

	// One of an older ledger does not hold, and can be taken away.
	limited := system
	limited.PlanTier, limited.MaxTokensPerMonth = TierFree, new(0)
	if got, want := (Organization{}).Evolve(limited, noon).Limits(), TierEnterprise.Limits(); got != want {
		t.Errorf("a limited platform has %+v, want %+v", got, want)
	}
	givenOrganization(t, limited).when(UpdateOrganization{Caller: operator, PlanTier: new(TierEnterprise), MaxTokensPerMonth: &Override{}}).
		then(OrganizationUpdated{OrganizationID: acme, MaxTokensPerMonth: &Override{}}, TierChanged{OrganizationID: acme, From: TierFree, To: TierEnterprise})
}
