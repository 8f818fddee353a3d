package eventstore

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// What follows is for engines: the parts of the contract that are the same in
// all of them.

// AppendObservation is what an engine tells its owner of one write: some
// appends that were made durable together.
type AppendObservation struct {
	Batch    int           // appends in it
	Events   int           // events stored
	Position uint64        // the newest after it; 0 when nothing was stored
	Duration time.Duration // from taking the appends to their being durable
	Err      error         // why it failed as a whole
}

// Dense reports whether the positions of a store count one by one, so that a
// gap between two is an event that is missing: an engine says so with a method
// DensePositions.
func Dense(s Store) bool {
	engine, says := s.(interface{ DensePositions() bool })
	return says && engine.DensePositions()
}

// StreamAppend is one call of [Store.Append]. An engine that can keep the order
// of appends to several streams without waiting for each takes many at once, in
// a method AppendInOrder.
type StreamAppend struct {
	Stream   string
	Expected ExpectedRevision
	Events   []Draft
}

// CheckDrafts says what is wrong with an append whatever the ledger holds:
// [ErrInvalidDraft] when there is no event or one is incomplete, and
// [ErrDuplicateID] when two have the same id. Data and size are left to [Seal].
func CheckDrafts(stream string, drafts []Draft) error {
	if len(drafts) == 0 {
		return invalid("there are no events to append")
	}
	for i := range drafts {
		if err := check(&drafts[i], stream, 0); err != nil {
			return err
		}
	}
	if len(drafts) == 1 {
		return nil
	}
	seen := make(map[uuid.UUID]bool, len(drafts))
	for i := range drafts {
		if seen[drafts[i].ID] {
			return fmt.Errorf("%w: %s, twice in one append", ErrDuplicateID, drafts[i].ID)
		}
		seen[drafts[i].ID] = true
	}
	return nil
}

// SealEvent is [Seal] with the fields of an [Event] filled in, but for its
// position.
func SealEvent(draft Draft, stream string, revision int64, prev Hash) (Event, error) {
	record, hash, err := Seal(draft, stream, revision, prev)
	if err != nil {
		return Event{}, err
	}
	return Event{
		Stream:       stream,
		Revision:     revision,
		ID:           draft.ID,
		Type:         draft.Type,
		Organization: draft.Organization,
		RecordedAt:   draft.Time.UTC().Truncate(time.Microsecond),
		Record:       record,
		Hash:         hash,
	}, nil
}

// Admit decides whether drafts may be appended to a stream whose newest event
// has the revision head. They have been appended before when repeated is true,
// with the result then; otherwise err is a [*ConflictError] or
// [ErrDuplicateID], or nil when they may. lookup finds an event by its id; of
// what it returns Type, Stream, Revision, Position and Hash count. Events are
// the same when id, type and place are; their data is not compared.
func Admit(stream string, head int64, expected ExpectedRevision, drafts []Draft, lookup func(uuid.UUID) (Event, bool)) (first Appended, repeated bool, err error) {
	place := expected.Revision() + 1
	var last Event
	var positions []Position
	for i := range drafts {
		e, ok := lookup(drafts[i].ID)
		if !ok {
			continue
		}
		if i == 0 && expected.IsAny() {
			place = e.Revision
		}
		if e.Stream != stream || e.Type != drafts[i].Type || e.Revision != place+int64(i) {
			return first, false, duplicate(e)
		}
		positions = append(positions, e.Position)
		last = e
	}
	known := len(positions)
	switch {
	case known == len(drafts):
		return Appended{Positions: positions, Revision: last.Revision, Hash: last.Hash}, true, nil
	case known > 0 && expected.IsAny():
		return first, false, duplicate(last)
	case !expected.IsAny() && expected.Revision() != head:
		return first, false, &ConflictError{Stream: stream, Expected: expected.Revision(), Actual: head}
	case known > 0:
		return first, false, duplicate(last)
	}
	return first, false, nil
}

func duplicate(e Event) error {
	return fmt.Errorf("%w: %s is revision %d of %s", ErrDuplicateID, e.ID, e.Revision, e.Stream)
}

// PassesType reports whether events of a type may pass the filter.
func (f Filter) PassesType(eventType string) bool {
	return len(f.Types) == 0 || slices.Contains(f.Types, eventType)
}

// Passes reports whether an event passes the filter.
func (f Filter) Passes(e Event) bool {
	return f.PassesType(e.Type) &&
		(f.Organization == uuid.Nil || f.Organization == e.Organization) &&
		(f.From.IsZero() || !e.RecordedAt.Before(f.From)) &&
		(f.To.IsZero() || !e.RecordedAt.After(f.To))
}
