package follow

import (
	"fmt"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// Event is an event of the ledger as its followers see it.
type Event struct {
	eventstore.Record // stream, revision, id, type, organization, actor, time, request, data, previous hash
	Position          eventstore.Position
	Hash              eventstore.Hash
	Fact              domain.Event // the decoded data
}

// Decode reads an event of the ledger. An error means that no build like this
// one can ever read it.
func Decode(e eventstore.Event) (Event, error) {
	record, err := e.Decode()
	if err != nil {
		return Event{}, err
	}
	if record.Type != e.Type {
		return Event{}, fmt.Errorf("the engine says it is %s, its record %s", e.Type, record.Type)
	}
	fact, err := domain.Decode(domain.Type(record.Type), record.Schema, record.Data)
	if err != nil {
		return Event{}, err
	}
	return Event{Record: record, Position: e.Position, Hash: e.Hash, Fact: fact}, nil
}

// Undecoded is an event without a look into its record, but for its hash: it
// has stream, revision, id, type, organization and time, and no Fact.
func Undecoded(e eventstore.Event) Event {
	draft := eventstore.Draft{ID: e.ID, Type: e.Type, Organization: e.Organization, Time: e.RecordedAt}
	return Event{
		Record:   eventstore.Record{Draft: draft, Stream: e.Stream, Revision: e.Revision},
		Position: e.Position, Hash: eventstore.HashOf(e.Record),
	}
}

// Filter passes events of these types; nil passes all there are.
func Filter(types []domain.Type) (filter eventstore.Filter) {
	for _, t := range types {
		filter.Types = append(filter.Types, string(t))
	}
	return filter
}
