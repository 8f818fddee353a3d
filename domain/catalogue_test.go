package domain

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// A new event is known everywhere once its row is whole: whatever asks about
// events asks the rows.
func TestEveryRowOfTheCatalogueIsWhole(t *testing.T) {
	page, err := os.ReadFile("../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Types() {
		t.Run(string(name), func(t *testing.T) {
			row := catalogue[name]
			if row.schema < 1 || row.decode == nil || row.about == nil {
				t.Fatalf("schema %d, decodes: %v, says what it is about: %v", row.schema, row.decode != nil, row.about != nil)
			}
			if row.changes == 0 {
				t.Error("the row does not say what the event changes, not even Nothing")
			}
			if !slices.Contains([]AuditOutcome{AuditSuccess, AuditFailure, unaudited}, row.audit) {
				t.Errorf("the audit trail shows it as %q", row.audit)
			}
			if row.ends.Tokens != Nothing && !slices.Contains(TokenOwners(), row.ends.Tokens) {
				t.Errorf("it ends tokens of %d; an event that ends none says Nothing", row.ends.Tokens)
			}
			if !strings.Contains(string(page), "| `"+string(name)+"` |") {
				t.Error("docs/events.md does not have it")
			}
			records := goldenRecords(name)
			if len(records) == 0 {
				t.Error("it has no golden record")
			}
			for file, event := range records {
				checkSubject(t, file, row, event)
			}
		})
	}
}

// goldenRecords are those of one event type, by their files.
func goldenRecords(name Type) map[string]Event {
	records := map[string]Event{}
	for file, event := range golden {
		if event.EventType() == name {
			records[file] = event
		}
	}
	return records
}

// checkSubject holds what a row says an event is about to the event's own fields,
// and to what it says the event does.
func checkSubject(t *testing.T, file string, row *kind, event Event) {
	t.Helper()
	about, ending := About(event), EndingOf(event)
	owners := map[Noun]uuid.UUID{
		AgentNoun: about.Agent.UUID, CredentialNoun: about.Credential.UUID, TokenNoun: about.Token.UUID,
		DelegationNoun: about.Delegation.UUID, OrganizationNoun: about.Organization.UUID, PartnerNoun: about.Partner.UUID,
	}
	for _, noun := range []Noun{row.changes, row.ends.Tokens} {
		if id, has := owners[noun]; has && id == uuid.Nil {
			t.Errorf("%s: it does something to noun %d and is about none: %+v", file, noun, about)
		}
	}
	if ending.Tokens != row.ends.Tokens && ending != noTokens {
		t.Errorf("%s: it ends %+v, which is not a part of %+v", file, ending, row.ends)
	}
	if about != (Subject{}) {
		return
	}
	for _, field := range reflect.VisibleFields(reflect.TypeOf(event)) {
		switch field.Type {
		case reflect.TypeFor[AgentID](), reflect.TypeFor[CredentialID](), reflect.TypeFor[TokenID](),
			reflect.TypeFor[DelegationID](), reflect.TypeFor[OrganizationID](), reflect.TypeFor[PartnerID]():
			t.Errorf("%s: it has %s and is said to be about nothing", file, field.Name)
		}
	}
}

// What the aggregates no longer admit must not live on in tokens that were issued
// before. This asks the aggregates, so a row cannot agree with itself.
func TestWhatShutsSomebodyOutEndsTheirTokens(t *testing.T) {
	harmless := map[Type]string{
		"agent.created":                   "nothing was there before it",
		"credential.expired":              "tokens issued before it live until they expire",
		"agent.registration_abandoned":    "there was no agent",
		"organization.creation_abandoned": "there was no organization",
	}

	at := noon.Add(-time.Minute)
	agent := Agent{}.Evolve(created(), at).Evolve(generated(first, "s1"), at)
	organization := Organization{}.Evolve(acmeCreated(), at)
	delegation := Delegation{}.Evolve(golden["delegation.created.1.credential.json"], at)
	secret := Proof{Secret: []Verifier{*verifier("s1")}}

	shutOut := map[Noun]int{}
	for file, event := range golden {
		var whose []Noun
		now := agent.Evolve(event, at)
		if _, err := now.Authenticate(secret, at); err != nil {
			whose = append(whose, AgentNoun)
		} else if len(agent.Scopes.Beyond(now.Scopes)) > 0 {
			whose = append(whose, AgentNoun)
		}
		if organization.Evolve(event, at).MustBeActive() != nil {
			whose = append(whose, OrganizationNoun)
		}
		if !delegation.Evolve(event, at).usableAt(at) {
			whose = append(whose, DelegationNoun)
		}
		if len(whose) == 0 || harmless[event.EventType()] != "" {
			continue
		}
		for _, noun := range whose {
			shutOut[noun]++
		}
		if EndingOf(event).Tokens == Nothing {
			t.Errorf("%s shuts out (nouns %v), and its row says that it ends no tokens", file, whose)
		}
	}
	for _, noun := range []Noun{AgentNoun, OrganizationNoun, DelegationNoun} {
		if shutOut[noun] == 0 {
			t.Errorf("no golden record shuts out noun %d: the test asks nothing", noun)
		}
	}
}

// What changes an aggregate changes the registry, or this says why no reader of
// the registry sees it.
func TestWhatChangesAnAggregateChangesTheRegistry(t *testing.T) {
	unseen := map[Type]string{
		"agent.registration_abandoned":      "there was no agent",
		"agent.admin_confirmed":             "it only makes decisions begin again",
		"token.issued":                      "when an agent was last seen is no part of the registry",
		"organization.creation_abandoned":   "there was no organization",
		"organization.member_suspended":     "it prepares an agent's suspension",
		"federation.registration_abandoned": "there was no partner",
	}
	at := noon.Add(-time.Minute)
	agent := Agent{}.Evolve(created(), at).Evolve(generated(first, "s1"), at)
	organization := Organization{}.Evolve(acmeCreated(), at).Evolve(memberAdded(robot, RoleAdmin), at)
	delegation := Delegation{}.Evolve(golden["delegation.created.1.minimal.json"], at)
	partner := Partner{}.Evolve(golden["federation.partner_registered.1.json"], at)
	for file, event := range golden {
		same := reflect.DeepEqual(agent.Evolve(event, noon), agent) && reflect.DeepEqual(organization.Evolve(event, noon), organization) &&
			reflect.DeepEqual(delegation.Evolve(event, noon), delegation) && reflect.DeepEqual(partner.Evolve(event, noon), partner)
		if changes := Changes(event) != Nothing; changes == same {
			if unseen[event.EventType()] == "" {
				t.Errorf("%s: Evolve changes an aggregate: %v; its row says that it changes %s", file, !same, Changes(event))
			}
		}
	}
}
