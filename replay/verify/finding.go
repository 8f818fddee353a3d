package verify

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
)

// Finding is the first thing that is wrong with a ledger. It is an error.
type Finding struct {
	Kind Kind `json:"kind"`

	// The first wrong event. Where that is gone it is the event that stands in
	// its place, and where none does EventID is uuid.Nil.
	EventID  uuid.UUID           `json:"-"`
	Stream   string              `json:"stream"`
	Revision int64               `json:"revision"`
	Position eventstore.Position `json:"position"` // 0 where it is not known: a bundle of one organization has none

	Index  int64             `json:"index"`            // of that place in the log, from 0; -1 when it has none
	Logged *eventstore.Hash  `json:"logged,omitempty"` // hash of the event that was there, where it is known
	Detail string            `json:"detail"`           // for a person
	Chain  *eventstore.Break `json:"chain,omitempty"`  // what the chains by themselves say first, if anything
}

func (f *Finding) Error() string {
	return fmt.Sprintf("%s at index %d (position %d, event %s, revision %d of %q): %s",
		f.Kind, f.Index, f.Position, f.EventID, f.Revision, f.Stream, f.Detail)
}

// MarshalJSON writes eventId null where there is no event.
func (f *Finding) MarshalJSON() ([]byte, error) {
	type plain Finding
	body := struct {
		*plain
		EventID *uuid.UUID `json:"eventId"`
	}{plain: (*plain)(f)}
	if f.EventID != uuid.Nil {
		body.EventID = &f.EventID
	}
	return json.Marshal(body)
}

// place is an event and where it stands among those that are verified.
type place struct {
	index int64
	event eventstore.Event
}

// finding is one that names an event.
func (p place) finding(kind Kind, format string, args ...any) *Finding {
	return &Finding{
		Kind: kind, EventID: p.event.ID, Stream: p.event.Stream, Revision: p.event.Revision, Position: p.event.Position,
		Index: p.index, Detail: fmt.Sprintf(format, args...),
	}
}
