package ledger_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/ledger"
)

func (w *world) another(t *testing.T, slug string, limit int) domain.OrganizationID {
	t.Helper()
	outcome, err := w.CreateOrganization(t.Context(), ledger.System(), domain.CreateOrganization{
		Caller: w.operator, OrganizationID: domain.OrganizationID{UUID: ledger.NewID()},
		Name: slug, Slug: slug, PlanTier: domain.TierEnterprise, MaxAgents: &limit,
	})
	if err != nil {
		t.Fatal(err)
	}
	return outcome.State.ID
}

func TestAddressesAreUniqueInTheirOrganization(t *testing.T) {
	t.Parallel()
	w := newWorld(t, memory.New(), 100)
	other := w.another(t, "other", 100)
	w.register(t, "caf\u00e9@acme.test")
	for _, spelling := range []string{"caf\u00e9@acme.test", "cafe\u0301@acme.test", "CAF\u00c9@ACME.test"} {
		if _, err := w.RegisterAgent(t.Context(), ledger.System(), w.registration(spelling)); !isCode(err, domain.CodeAgentExists) {
			t.Errorf("%+q in the same organization: %v", spelling, err)
		}
	}
	elsewhere := w.registration("Cafe\u0301@acme.test")
	elsewhere.OrganizationID = other
	outcome, err := w.RegisterAgent(t.Context(), ledger.System(), elsewhere)
	if err != nil || outcome.State.Email != elsewhere.Email {
		t.Fatalf("in another organization: %+v, %v", outcome.State, err)
	}
	if by, err := w.EmailClaimedBy(t.Context(), other, "caf\u00e9@acme.test"); err != nil || by != elsewhere.AgentID {
		t.Errorf("claimed by %s, %v, want %s", by, err, elsewhere.AgentID)
	}
	if by, err := w.EmailClaimedBy(t.Context(), other, "nobody@acme.test"); err != nil || !by.IsZero() {
		t.Errorf("an address that nobody has is claimed by %s, %v", by, err)
	}
}

// TestSpellingsOfOneAddressRace: of many that register one address at once, in
// all its spellings and in two organizations, one wins in each.
func TestSpellingsOfOneAddressRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, memory.New(), 100)
	other := w.another(t, "other", 100)
	spellings := []string{"stra\u00dfe@m\u00fcnchen.test", "STRASSE@xn--mnchen-3ya.test", "strasse@MU\u0308NCHEN.test"}
	got := parallel(60, func(i int) error {
		command := w.registration(spellings[i/2%len(spellings)])
		if i%2 == 1 {
			command.OrganizationID = other
		}
		_, err := w.RegisterAgent(t.Context(), ledger.System(), command)
		return err
	})
	if got[""] != 2 || got[domain.CodeAgentExists] != 58 {
		t.Errorf("60 registrations: %v, want one success in each organization", got)
	}
}

// formerClaim writes a claim as it was made when addresses were unique over all
// organizations.
func (w *world) formerClaim(t *testing.T, email string, organization domain.OrganizationID, owner domain.AgentID, at time.Time) {
	t.Helper()
	data, err := json.Marshal(domain.ClaimMade{Kind: domain.ClaimEmail, Owner: owner.UUID, OrganizationID: organization})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.store.Append(t.Context(), domain.ClaimStream(domain.ClaimEmail, email), eventstore.Any(), eventstore.Draft{
		ID: uuid.Must(uuid.NewV7()), Type: "claim.made", Schema: 1, Organization: organization.UUID,
		Actor: eventstore.Actor{Kind: "system"}, Time: at, Data: data,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFormerClaimsHoldInTheirOrganization(t *testing.T) {
	t.Parallel()
	w := newWorld(t, memory.New(), 100)
	other := w.another(t, "other", 100)
	living := w.register(t, "living@acme.test")
	w.formerClaim(t, "robot@acme.test", w.organization, living.ID, time.Now())
	if _, err := w.RegisterAgent(t.Context(), ledger.System(), w.registration("Robot@acme.test")); !isCode(err, domain.CodeAgentExists) {
		t.Errorf("an address that an agent has by a former claim: %v", err)
	}
	if by, err := w.EmailClaimedBy(t.Context(), w.organization, "robot@acme.test"); err != nil || by != living.ID {
		t.Errorf("claimed by %s, %v, want %s", by, err, living.ID)
	}
	elsewhere := w.registration("robot@acme.test")
	elsewhere.OrganizationID = other
	if _, err := w.RegisterAgent(t.Context(), ledger.System(), elsewhere); err != nil {
		t.Errorf("the same address in another organization: %v", err)
	}

	// A crash of an earlier version, after the claim and before the agent.
	dead := domain.AgentID{UUID: ledger.NewID()}
	w.formerClaim(t, "dead@acme.test", w.organization, dead, time.Now().Add(-2*testGrace))
	if _, err := w.RegisterAgent(t.Context(), ledger.System(), w.registration("dead@acme.test")); err != nil {
		t.Errorf("an address that a crash left behind: %v", err)
	}
	late := w.registration("dead@acme.test")
	late.AgentID = dead
	if _, err := w.RegisterAgent(t.Context(), ledger.System(), late); err == nil {
		t.Error("the one that was given up came to life after all")
	}
	// One that may come to life yet is not taken from.
	slow := domain.AgentID{UUID: ledger.NewID()}
	w.formerClaim(t, "slow@acme.test", w.organization, slow, time.Now())
	if _, err := w.RegisterAgent(t.Context(), ledger.System(), w.registration("slow@acme.test")); !isCode(err, domain.CodeAgentExists) {
		t.Errorf("an address that is being registered: %v", err)
	}
	mine := w.registration("slow@acme.test")
	mine.AgentID = slow
	if _, err := w.RegisterAgent(t.Context(), ledger.System(), mine); err != nil {
		t.Errorf("its own registration, sent again: %v", err)
	}
}

// TestRefusedRegistrationsWriteNothing: what is refused must not make the ledger
// grow.
func TestRefusedRegistrationsWriteNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, memory.New(), 1)
	first := w.register(t, "first@acme.test")
	head := func() eventstore.Position {
		at, err := w.store.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	before := head()
	for name, tc := range map[string]struct {
		change func(*domain.RegisterAgent)
		code   domain.Code
	}{
		"the organization is full":         {func(*domain.RegisterAgent) {}, domain.CodeAgentCap},
		"the address is taken":             {func(c *domain.RegisterAgent) { c.Email = "FIRST@acme.test" }, domain.CodeAgentExists},
		"the agent is another":             {func(c *domain.RegisterAgent) { c.AgentID = first.ID }, domain.CodeAgentExists},
		"the address is none":              {func(c *domain.RegisterAgent) { c.Email = "x" }, domain.CodeValidation},
		"there is no such organization":    {func(c *domain.RegisterAgent) { c.OrganizationID.UUID = uuid.New() }, domain.CodeOrganizationNotFound},
		"the same, again, with all seats":  {func(c *domain.RegisterAgent) { c.Email = "again@acme.test" }, domain.CodeAgentCap},
		"the profile does not fit":         {func(c *domain.RegisterAgent) { c.Profile.Owner = "" }, domain.CodeValidation},
		"what it repeats is done already":  {func(c *domain.RegisterAgent) { c.AgentID, c.Email = first.ID, first.Email }, ""},
		"its scopes are not to be granted": {func(c *domain.RegisterAgent) { c.Scopes = domain.Scopes{"no:such"} }, domain.CodeValidation},
	} {
		for range 5 {
			command := w.registration("second@acme.test")
			tc.change(&command)
			_, err := w.RegisterAgent(t.Context(), ledger.System(), command)
			if tc.code == "" && err != nil || tc.code != "" && !isCode(err, tc.code) {
				t.Errorf("%s: %v, want %s", name, err, tc.code)
			}
		}
		if after := head(); after != before {
			t.Errorf("%s: five refusals wrote %d events", name, after-before)
			before = after
		}
	}
}
