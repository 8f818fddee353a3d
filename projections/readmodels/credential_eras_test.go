package readmodels_test

import (
	"fmt"
	"testing"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// An organization ends all credentials: those that are there, and one that was on
// its way by who knew of the era before. A rotation that was on its way brings
// nothing back.
func TestCredentialsEndWithTheirEra(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	progress := w.follow(t)
	organization, elsewhere := newOrganizationID(), newOrganizationID()
	agent, stranger := newAgentID(), newAgentID()
	generated := func(era int) domain.CredentialGenerated {
		return domain.CredentialGenerated{AgentID: agent, CredentialID: newCredentialID(), Kind: domain.SecretCredential, Era: era,
			Verifier: &domain.Verifier{KeyID: "k", MAC: []byte("mac")}}
	}
	before, late, after, foreign := generated(0), generated(0), generated(1), generated(0)
	foreign.AgentID = stranger
	begin := func(id domain.OrganizationID) domain.OrganizationCreated {
		return domain.OrganizationCreated{OrganizationID: id, Name: "n", Slug: id.String(), PlanTier: domain.TierFree}
	}
	record(t, w.store, domain.OrganizationStream(organization), organization, begin(organization))
	record(t, w.store, domain.OrganizationStream(elsewhere), elsewhere, begin(elsewhere))
	record(t, w.store, domain.AgentStream(stranger), elsewhere, created(stranger, elsewhere), foreign)
	record(t, w.store, domain.AgentStream(agent), organization, created(agent, organization), before)
	record(t, w.store, domain.OrganizationStream(organization), organization,
		domain.OrganizationAccessRevoked{OrganizationID: organization, Reason: "r", Credentials: true, Era: 1})
	last := record(t, w.store, domain.AgentStream(agent), organization, late, after,
		domain.CredentialRotated{AgentID: agent, CredentialID: before.CredentialID, Verifier: before.Verifier})
	waitAll(t, progress, last)
	for name, want := range map[string]struct {
		id     domain.CredentialID
		status domain.CredentialStatus
	}{
		"before": {before.CredentialID, domain.CredentialIsRevoked}, "late": {late.CredentialID, domain.CredentialIsRevoked},
		"in the era": {after.CredentialID, domain.CredentialActive}, "of another organization": {foreign.CredentialID, domain.CredentialActive},
	} {
		got, err := w.queries.Credential(t.Context(), readmodels.AllOrganizations, want.id)
		if err != nil || got.Status != want.status || got.RevokedAt.IsZero() == (want.status == domain.CredentialIsRevoked) {
			t.Errorf("%s: %s", name, fmt.Sprint(got.Status, got.RevokedAt, err))
		}
	}
}
