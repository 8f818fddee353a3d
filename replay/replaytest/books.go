package replaytest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// Two tenants, for ledgers that a test writes by itself.
var (
	Ours   = domain.OrganizationID{UUID: uuid.MustParse("0192f3a0-0000-7000-8000-0000000000a1")}
	Theirs = domain.OrganizationID{UUID: uuid.MustParse("0192f3a0-0000-7000-8000-0000000000a2")}
)

// Books writes a ledger as several organizations would over some days: agents
// that are registered, hold credentials, have tokens issued, are changed and
// suspended; keys; failures of which nobody is the owner, in streams that all
// share. The same seed writes the same.
type Books struct {
	random        *rand.Rand
	now           time.Time
	organizations []domain.OrganizationID
	agents        []bookedAgent
	heads         map[string]eventstore.Event
	Events        []eventstore.Event
}

type bookedAgent struct {
	organization domain.OrganizationID
	id           domain.AgentID
	credential   domain.CredentialID
}

// Write appends events until there are so many.
func Write(seed uint64, events int, begin time.Time) *Books {
	b := &Books{random: rand.New(rand.NewPCG(seed, 1)), now: begin, heads: map[string]eventstore.Event{}}
	b.Append(domain.SigningKeyStream("k1"), domain.OrganizationID{}, domain.SigningKeyCreated{KeyID: "k1", Algorithm: "ES256", PublicKey: json.RawMessage(`{"kty":"EC"}`)})
	for i := range 4 {
		b.found(i)
	}
	for len(b.Events) < events {
		b.step()
	}
	b.Events = b.Events[:events]
	return b
}

func (b *Books) id() (id uuid.UUID) {
	for i := range id {
		id[i] = byte(b.random.Uint32())
	}
	id[6], id[8] = id[6]&0x0f|0x70, id[8]&0x3f|0x80
	return id
}

// Wait lets time pass.
func (b *Books) Wait(d time.Duration) { b.now = b.now.Add(d) }

// Append writes one more event, of now, at the end of its stream.
func (b *Books) Append(stream string, organization domain.OrganizationID, fact domain.Event) {
	name, schema, data, err := domain.Encode(fact)
	if err != nil {
		panic(err) // the facts are those below
	}
	b.now = b.now.Add(time.Duration(1+b.random.IntN(2_000_000)) * time.Microsecond)
	agent := "curl/8.5.0"
	if b.random.IntN(50) == 0 {
		agent = `"curl" <é>` // one that a record has to escape
	}
	draft := eventstore.Draft{
		ID: b.id(), Type: string(name), Schema: schema, Organization: organization.UUID, Time: b.now, Data: data,
		Actor:   eventstore.Actor{Kind: "agent", ID: b.id().String()},
		Request: eventstore.Request{ID: b.id().String(), IP: "192.0.2.7", Agent: agent},
	}
	revision := int64(0)
	head, is := b.heads[stream]
	if is {
		revision = head.Revision + 1
	}
	event, err := eventstore.SealEvent(draft, stream, revision, head.Hash)
	if err != nil {
		panic(err)
	}
	event.Position = eventstore.Position(len(b.Events) + 1)
	b.heads[stream] = event
	b.Events = append(b.Events, event)
}

func (b *Books) found(i int) {
	id := domain.OrganizationID{UUID: b.id()}
	b.organizations = append(b.organizations, id)
	slug := fmt.Sprintf("tenant-%d", i)
	b.Append(domain.ClaimStream(domain.ClaimSlug, slug), id, domain.ClaimMade{Kind: domain.ClaimSlug, Owner: id.UUID, OrganizationID: id})
	b.Append(domain.OrganizationStream(id), id, domain.OrganizationCreated{OrganizationID: id, Name: slug, Slug: slug, PlanTier: domain.TierPro})
}

func (b *Books) register() {
	organization := b.organizations[b.random.IntN(len(b.organizations))]
	a := bookedAgent{organization, domain.AgentID{UUID: b.id()}, domain.CredentialID{UUID: b.id()}}
	email := a.id.String() + "@example.com"
	b.Append(domain.ClaimStream(domain.ClaimEmail, email), organization, domain.ClaimMade{Kind: domain.ClaimEmail, Owner: a.id.UUID, OrganizationID: organization})
	b.Append(domain.SeatsStream(organization), organization, domain.SeatTaken{OrganizationID: organization, AgentID: a.id})
	b.Append(domain.AgentStream(a.id), organization, domain.AgentCreated{
		AgentID: a.id, OrganizationID: organization, Email: email, Scopes: domain.DefaultScopes(), DID: "did:web:localhost:agents:" + a.id.String(),
		Profile: domain.Profile{AgentType: domain.AgentMonitor, Version: "1.0.0", Owner: "ops", DeploymentEnv: domain.EnvProduction, Description: "watches é <&>"},
	})
	b.Append(domain.AgentStream(a.id), organization, domain.CredentialGenerated{
		AgentID: a.id, CredentialID: a.credential, Kind: domain.SecretCredential,
		Verifier: &domain.Verifier{KeyID: "m1", MAC: slices.Repeat([]byte{7}, 32)},
	})
	b.agents = append(b.agents, a)
}

func (b *Books) step() {
	if len(b.agents) < 5 || b.random.IntN(40) == 0 {
		b.register()
		return
	}
	a := b.agents[b.random.IntN(len(b.agents))]
	stream := domain.AgentStream(a.id)
	switch n := b.random.IntN(100); {
	case n < 80:
		b.Append(stream, a.organization, domain.TokenIssued{
			AgentID: a.id, TokenID: domain.TokenID{UUID: b.id()}, CredentialID: a.credential, AuthMethod: domain.SecretCredential,
			Scope: "agents:read", Audience: "https://idp.example", Algorithm: "ES256", KeyID: "k1", ExpiresAt: b.now.Add(time.Hour).Truncate(time.Second),
		})
	case n < 90:
		b.Append(domain.SecurityStream(b.now.UTC().Format(time.DateOnly)), a.organization, domain.AuthFailed{ClientID: a.id.String(), Reason: domain.AuthWrongSecret})
	case n < 96:
		owner := fmt.Sprintf("team-%d", n)
		b.Append(stream, a.organization, domain.AgentUpdated{AgentID: a.id, Owner: &owner})
	default:
		b.Append(stream, a.organization, domain.AgentSuspended{AgentID: a.id, Reason: "under investigation"})
		b.Append(stream, a.organization, domain.AgentReactivated{AgentID: a.id, Reason: "cleared"})
	}
}
