package history

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// EventRef names the event that made something so, as it stands in the ledger.
type EventRef struct {
	EventID  uuid.UUID           `json:"eventId"`
	Type     string              `json:"type"`
	Time     time.Time           `json:"time"`
	Position eventstore.Position `json:"position"` // 0 where that is not known
	Stream   string              `json:"stream"`
	Revision int64               `json:"revision"`
	Hash     eventstore.Hash     `json:"hash"`
	Actor    eventstore.Actor    `json:"actor"`

	order eventstore.Position // among all events, known or not as a position of the ledger
}

// Fact is something that was so, and the event that made it so.
type Fact struct {
	Name  string   `json:"-"`
	Value any      `json:"value"` // nil: not set
	Event EventRef `json:"event"`
}

// Facts are the facts about one thing, in the order to tell them. In JSON they
// are an object with a member for each.
type Facts []Fact

// Get finds a fact by its name; the zero Fact when there is none.
func (f Facts) Get(name string) Fact {
	for _, fact := range f {
		if fact.Name == name {
			return fact
		}
	}
	return Fact{}
}

// MarshalJSON implements [json.Marshaler].
func (f Facts) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, fact := range f {
		if i > 0 {
			b.WriteByte(',')
		}
		member, err := json.Marshal(fact)
		if err != nil {
			return nil, fmt.Errorf("fact %s: %w", fact.Name, err)
		}
		fmt.Fprintf(&b, "%q:%s", fact.Name, member)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// ThingKind is what a [Thing] is.
type ThingKind string

const (
	AgentThing        ThingKind = "agent"
	OrganizationThing ThingKind = "organization"
	MemberThing       ThingKind = "member" // of an organization
	CredentialThing   ThingKind = "credential"
	DelegationThing   ThingKind = "delegation"
)

// Thing is what was known of one thing at a moment.
type Thing struct {
	Kind  ThingKind `json:"kind"`
	ID    uuid.UUID `json:"id"`
	Facts Facts     `json:"facts"`
}

// aggregate is what there is to fold a stream into: one of the domain's own.
type aggregate[S any] interface {
	Evolve(event domain.Event, at time.Time) S
}

// told is what an aggregate says of one thing: facts whose events are not known yet.
type told struct {
	kind  ThingKind
	id    uuid.UUID
	facts []Fact
}

// past is a stream as it was.
type past[S any] struct {
	state  S
	things []Thing
	next   *EventRef // the first event after the moment; nil when there is none
	// ended are the events that ended what was lent with a credential until then.
	ended map[domain.CredentialID][]EventRef
	// access are those that ended all access until then, and eras those among them
	// that began one: the first is at 0.
	access, eras []EventRef
}

// thing finds one by its kind and id.
func (p past[S]) thing(kind ThingKind, id uuid.UUID) Thing {
	for _, t := range p.things {
		if t.Kind == kind && t.ID == id {
			return t
		}
	}
	return Thing{Kind: kind, ID: id}
}

// fold replays a stream up to an instant. The aggregate is the write side's, so
// what comes out is what a decision would have been made on; the event of a
// fact is the one that changed what the aggregate tells.
func fold[S aggregate[S]](ctx context.Context, store eventstore.StreamReader, stream string, at instant, tell func(S) []told) (past[S], error) {
	var p past[S]
	for event, err := range eventstore.ReadWhole(ctx, store, stream) {
		if err != nil {
			return p, fmt.Errorf("read %s: %w", stream, err)
		}
		record, err := event.Decode()
		if err != nil {
			return p, fmt.Errorf("read %s at revision %d: %w", stream, event.Revision, err)
		}
		ref := refTo(event, record, at)
		if !at.includes(event) {
			p.next = &ref
			return p, nil
		}
		fact, err := domain.Decode(domain.Type(record.Type), record.Schema, record.Data)
		if err != nil {
			return p, fmt.Errorf("read %s at revision %d: %w", stream, event.Revision, err)
		}
		p.state = p.state.Evolve(fact, record.Time)
		if credential := domain.EndedWith(fact); !credential.IsZero() {
			if p.ended == nil {
				p.ended = make(map[domain.CredentialID][]EventRef)
			}
			p.ended[credential] = append(p.ended[credential], ref)
		}
		if ending := domain.EndingOf(fact); ending.Delegations {
			p.access = append(p.access, ref)
			if ending.Credentials {
				p.eras = append(p.eras, ref)
			}
		}
		things := tell(p.state)
		for _, t := range things {
			p.note(t, ref)
		}
		p.end(things, ref)
	}
	return p, nil
}

func refTo(e eventstore.Event, r eventstore.Record, at instant) EventRef {
	ref := EventRef{
		EventID: e.ID, Type: r.Type, Time: r.Time.UTC(), Position: e.Position, order: e.Position,
		Stream: e.Stream, Revision: e.Revision, Hash: e.Hash, Actor: r.Actor,
	}
	if at.places {
		ref.Position = 0
	}
	return ref
}

// note keeps what is new in what was told.
func (p *past[S]) note(t told, by EventRef) {
	for i := range p.things {
		known := &p.things[i]
		if known.Kind != t.kind || known.ID != t.id {
			continue
		}
		for j, fact := range t.facts { // always the same ones, in the same order
			if !reflect.DeepEqual(known.Facts[j].Value, fact.Value) {
				known.Facts[j].Value, known.Facts[j].Event = fact.Value, by
			}
		}
		return
	}
	for j := range t.facts {
		t.facts[j].Event = by
	}
	p.things = append(p.things, Thing{Kind: t.kind, ID: t.id, Facts: t.facts})
}

// end keeps of what is told no more that it is no more, and by which event: a
// member that was removed has no role.
func (p *past[S]) end(things []told, by EventRef) {
	for i := range p.things {
		known := &p.things[i]
		if slices.ContainsFunc(things, func(t told) bool { return t.kind == known.Kind && t.id == known.ID }) {
			continue
		}
		for j := range known.Facts {
			if known.Facts[j].Value != nil {
				known.Facts[j].Value, known.Facts[j].Event = nil, by
			}
		}
	}
}

// moment is a time as a fact; nil when it never came.
func moment(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC()
}

// optional is what a pointer points to, nil when to nothing.
func optional[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}
