package readmodels_test

import (
	"testing"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// The list and the index agree on which delegations have ended with their
// credential, in whichever order both came to the ledger, in one batch or in
// several, and after a rebuild.
func TestTheListKnowsDelegationsOfCredentialsThatHadJustEnded(t *testing.T) {
	w := newWorld(t)
	progress := w.follow(t)
	organization, from, to := newOrganizationID(), newAgentID(), newAgentID()
	credential := newCredentialID()
	verifier := &domain.Verifier{KeyID: "k", MAC: []byte("mac")}
	stream := domain.AgentStream(from)
	record(t, w.store, domain.OrganizationStream(organization), organization,
		domain.OrganizationCreated{OrganizationID: organization, Name: "Acme", Slug: "acme", PlanTier: domain.TierPro})
	record(t, w.store, domain.AgentStream(to), organization, created(to, organization))
	record(t, w.store, stream, organization, created(from, organization),
		domain.CredentialGenerated{AgentID: from, CredentialID: credential, Kind: domain.SecretCredential, Verifier: verifier})
	rotate := func(keep bool) {
		record(t, w.store, stream, organization,
			domain.CredentialRotated{AgentID: from, CredentialID: credential, Verifier: verifier, DelegationsKept: keep})
	}
	want := map[domain.DelegationID]readmodels.DelegationStatus{}
	lend := func(seen int64, status readmodels.DelegationStatus) {
		link := delegated(organization, from, to)
		link.CredentialID, link.CredentialRevision = &credential, seen
		record(t, w.store, domain.DelegationStream(link.DelegationID), organization, link)
		want[link.DelegationID] = status
	}
	check := func(when string) {
		t.Helper()
		r := revocation.New(w.store, revocation.Options{})
		if _, err := r.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		waitAll(t, progress, r.Position())
		for id, status := range want {
			listed, err := w.queries.Delegation(t.Context(), readmodels.InOrganization(organization), id, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if listed.Status != status || status == readmodels.DelegationIsRevoked && listed.RevokedAt.Before(listed.CreatedAt) {
				t.Errorf("%s: %s, revoked at %v and made at %v; want %s", when, listed.Status, listed.RevokedAt, listed.CreatedAt, status)
			}
			if alive := r.Latest().CheckDelegation(id, r.Position()) == revocation.Alive; alive != (status == readmodels.DelegationActive) {
				t.Errorf("%s: the index says alive %v, want %s", when, alive, status)
			}
		}
	}
	rotate(false) // revision 2
	lend(0, readmodels.DelegationActive)
	lend(1, readmodels.DelegationIsRevoked) // what it was made with had ended by then
	lend(2, readmodels.DelegationActive)
	check("in one batch")
	lend(1, readmodels.DelegationIsRevoked)
	rotate(true) // revision 3
	lend(1, readmodels.DelegationIsRevoked)
	lend(2, readmodels.DelegationActive)
	check("in another batch")
	record(t, w.store, stream, organization, domain.CredentialRevoked{AgentID: from, CredentialID: credential}) // revision 4
	for id := range want {
		want[id] = readmodels.DelegationIsRevoked
	}
	lend(3, readmodels.DelegationIsRevoked)
	check("revoked")
	w.mustVerify(t, readmodels.Delegations())
}
