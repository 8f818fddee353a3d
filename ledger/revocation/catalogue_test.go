package revocation_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/ledger/ledgertest"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// goldenNoon is when what the golden records speak of expires.
var goldenNoon = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

// Every event that says it ends tokens does so in the index that requests are
// checked against, and no other event does.
func TestTheEventsThatEndTokensAreThoseThatSayIt(t *testing.T) {
	t.Parallel()
	mayEnd := domain.TypesEnding(domain.TokenOwners()...)
	for _, name := range domain.Types() {
		ended := 0
		for file, fact := range ledgertest.Golden(t, "../../domain/testdata/golden", name) {
			says := domain.EndingOf(fact).Tokens != domain.Nothing
			verdict := verdictAfter(t, fact)
			if (verdict != revocation.Alive) != says {
				t.Errorf("%s: tokens of what it is about are %q afterwards, and it says that it ends them: %v", file, verdict, says)
			}
			if verdict != revocation.Alive {
				ended++
			}
		}
		if may := slices.Contains(mayEnd, name); (ended > 0) != may {
			t.Errorf("%s: %d of its golden records end tokens; its row says that it ends some: %v", name, ended, may)
		}
	}
}

// verdictAfter is what the index says after a fact of a token that was issued
// before it: to the agent, under the credential, in the organization and by the
// delegation that the fact is about, with its id, and signed with its key.
func verdictAfter(t *testing.T, fact domain.Event) revocation.Verdict {
	t.Helper()
	store, about := memory.New(), domain.About(fact)
	index := revocation.New(store, revocation.Options{
		Now: func() time.Time { return goldenNoon.Add(-time.Hour) },
	})
	token := revocation.Token{
		TokenID: about.Token, AgentID: about.Agent, CredentialID: about.Credential, OrganizationID: about.Organization, KeyID: about.SigningKey, ExpiresAt: goldenNoon,
	}
	if _, first := fact.(domain.DelegationCreated); !first && !about.Delegation.IsZero() {
		link := delegated(about.Organization, about.Agent, newAgentID())
		link.DelegationID, link.ExpiresAt = about.Delegation, goldenNoon
		record(t, store, newStream(), about.Organization, link)
		token.Delegation, token.AgentID = link.DelegationID, link.DelegateeID
	}
	token.Position = record(t, store, newStream(), about.Organization, issued(token.AgentID, token.CredentialID))
	token.Basis = token.Position
	check := func() revocation.Verdict {
		if _, err := index.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		return index.Latest().Check(token)
	}
	if verdict := check(); verdict != revocation.Alive {
		t.Fatalf("before %s: %q", fact.EventType(), verdict)
	}
	record(t, store, newStream(), about.Organization, fact)
	return check()
}
