package chaos_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/test/chaos"
)

// book is a ledger that is written by hand, whether or not it may be so.
type book struct {
	tb        testing.TB
	at        time.Time
	events    []eventstore.Event
	revisions map[string]int64
	hashes    map[string]eventstore.Hash

	organization domain.OrganizationID // what the events are about, unless they say otherwise
	lender       domain.AgentID        // has a credential, lends to the borrower
	borrower     domain.AgentID
	credential   domain.CredentialID
	delegation   domain.DelegationID // may be lent on once
	below        domain.DelegationID // the borrower lends it on, back to the lender
	belowEnds    time.Time
}

func newBook(tb testing.TB) *book {
	return &book{
		tb: tb, at: time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC),
		revisions: map[string]int64{}, hashes: map[string]eventstore.Hash{},
		organization: domain.OrganizationID{UUID: uuid.New()}, lender: domain.AgentID{UUID: uuid.New()}, borrower: domain.AgentID{UUID: uuid.New()},
		credential: domain.CredentialID{UUID: uuid.New()}, delegation: domain.DelegationID{UUID: uuid.New()}, below: domain.DelegationID{UUID: uuid.New()},
	}
}

// later lets so much time pass that nobody can have looked at what was before.
func (b *book) later() { b.at = b.at.Add(time.Minute) }

func (b *book) write(stream string, fact domain.Event) {
	b.writeAs("", stream, fact)
}

// writeAs writes an event that a request has led to.
func (b *book) writeAs(request, stream string, fact domain.Event) {
	b.tb.Helper()
	eventType, schema, data, err := domain.Encode(fact)
	if err != nil {
		b.tb.Fatal(err)
	}
	b.at = b.at.Add(time.Millisecond)
	revision, known := b.revisions[stream]
	if known {
		revision++
	}
	sealed, err := eventstore.SealEvent(eventstore.Draft{
		ID: uuid.New(), Type: string(eventType), Schema: schema, Organization: b.organization.UUID,
		Actor: eventstore.Actor{Kind: "system", ID: "test"}, Time: b.at, Data: data, Request: eventstore.Request{ID: request},
	}, stream, revision, b.hashes[stream])
	if err != nil {
		b.tb.Fatal(err)
	}
	sealed.Position = eventstore.Position(len(b.events) + 1)
	b.revisions[stream], b.hashes[stream] = revision, sealed.Hash
	b.events = append(b.events, sealed)
}

func (b *book) agent(fact domain.Event) { b.write(domain.AgentStream(b.lender), fact) }

func (b *book) organizations(fact domain.Event) {
	b.write(domain.OrganizationStream(b.organization), fact)
}

func (b *book) seats(fact domain.Event) { b.write(domain.SeatsStream(b.organization), fact) }

func (b *book) delegations(fact domain.Event) {
	b.write(domain.DelegationStream(b.delegation), fact)
}

// sound is a history that is as it should be.
func sound(tb testing.TB) *book {
	b := newBook(tb)
	b.found()
	b.register(b.lender, "lender@acme.example")
	b.register(b.borrower, "borrower@acme.example")
	b.agent(domain.CredentialGenerated{AgentID: b.lender, CredentialID: b.credential, Kind: domain.SecretCredential, Verifier: b.verifier()})
	b.agent(b.issued())
	b.delegations(b.lent())
	b.delegations(b.exchanged())
	b.belows(b.lentOn())
	b.belows(b.exchangedBelow())
	return b
}

func (b *book) replay() (*chaos.History, []chaos.Violation) {
	h := chaos.NewHistory(true)
	for _, e := range b.events {
		h.Take(e)
	}
	return h, h.End()
}

// checkpointOf is one of the whole ledger, as a signer would make it.
func checkpointOf(b *book, seen string, size int64) chaos.Checkpoint {
	tree := &transparency.Tree{}
	for _, e := range b.events {
		if tree.Size() < size {
			tree.Append(e.Hash)
		}
	}
	return chaos.Checkpoint{
		Checkpoint: transparency.Checkpoint{Origin: "test/ledger", Size: size, Root: tree.Root()}, Log: transparency.Whole, Seen: seen,
	}
}
