package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
)

var (
	noStream = eventstore.NoStream()
	anyState = eventstore.Any()
)

func appendIsAllOrNothing(t *testing.T, s eventstore.Store) {
	three := drafts("a.x", "a.y", "a.z")
	broken := drafts("a.x", "a.y")
	broken[1].Data = json.RawMessage(`{"never closed":`)
	if _, err := s.Append(within(t), "a-1", noStream, broken...); !errors.Is(err, eventstore.ErrInvalidDraft) {
		t.Errorf("Append of a good and a broken event = %v, want ErrInvalidDraft", err)
	}
	if events := All(t, s); len(events) != 0 {
		t.Errorf("a refused append left %d events", len(events))
	}
	appended := mustAppend(t, s, "a-1", noStream, three...)
	if appended.Revision != 2 || len(appended.Positions) != 3 {
		t.Errorf("appended = %+v, want revision 2 and three positions", appended)
	}
	events := Verify(t, s)
	if diff := cmp.Diff(idsOfDrafts(three), idsOf(events)); diff != "" {
		t.Fatalf("ids (-want +got):\n%s", diff)
	}
	for i, e := range events {
		if e.Position != appended.Positions[i] {
			t.Errorf("event %d is at position %d, Append said %d", i, e.Position, appended.Positions[i])
		}
	}
	if events[2].Hash != appended.Hash {
		t.Errorf("the last event hashes to %s, Append said %s", events[2].Hash, appended.Hash)
	}
}

func appendChecksTheExpectedRevision(t *testing.T, s eventstore.Store) {
	mustAppend(t, s, "a-1", anyState, NewDraft("a.x"))
	mustAppend(t, s, "a-1", eventstore.Exactly(0), NewDraft("a.x"))
	mustAppend(t, s, "a-1", anyState, NewDraft("a.x"))
	mustAppend(t, s, "a-2", eventstore.Exactly(-1), NewDraft("a.x"))
	for _, expected := range []eventstore.ExpectedRevision{noStream, eventstore.Exactly(1), eventstore.Exactly(3)} {
		var conflict *eventstore.ConflictError
		if _, err := s.Append(within(t), "a-1", expected, NewDraft("a.x")); !errors.As(err, &conflict) {
			t.Errorf("Append at revision 2 expecting %d = %v, want a conflict", expected.Revision(), err)
		}
	}
	if got := len(Verify(t, s)); got != 4 {
		t.Errorf("%d events, want 4", got)
	}
}

func aConflictCarriesBothRevisions(t *testing.T, s eventstore.Store) {
	mustAppend(t, s, "a-1", noStream, drafts("a.x", "a.x", "a.x")...)
	for _, c := range []struct {
		stream   string
		expected eventstore.ExpectedRevision
		want     eventstore.ConflictError
	}{
		{"a-1", eventstore.Exactly(7), eventstore.ConflictError{Stream: "a-1", Expected: 7, Actual: 2}},
		{"a-1", noStream, eventstore.ConflictError{Stream: "a-1", Expected: -1, Actual: 2}},
		{"a-2", eventstore.Exactly(0), eventstore.ConflictError{Stream: "a-2", Expected: 0, Actual: -1}},
	} {
		_, err := s.Append(within(t), c.stream, c.expected, NewDraft("a.x"))
		var conflict *eventstore.ConflictError
		if !errors.As(err, &conflict) || *conflict != c.want {
			t.Errorf("Append to %s = %v, want %v", c.stream, err, &c.want)
		}
	}
}

func appendSealsIntoTheChain(t *testing.T, s eventstore.Store) {
	d := NewDraft("a.x")
	d.Causation = uuid.New()
	d.Organization = uuid.Nil
	d.Time = time.Date(2026, 11, 23, 8, 21, 0, 123456789, time.FixedZone("", 3600))
	first := mustAppend(t, s, "a-1", noStream, d)
	mustAppend(t, s, "a-2", noStream, NewDraft("a.x"))
	mustAppend(t, s, "a-1", eventstore.Exactly(0), drafts("a.y", "a.y")...)
	events := Verify(t, s)
	record, err := events[0].Decode()
	if err != nil {
		t.Fatal(err)
	}
	d.Time = time.Date(2026, 11, 23, 7, 21, 0, 123456000, time.UTC)
	want := eventstore.Record{Draft: d, Stream: "a-1"}
	if diff := cmp.Diff(want, record); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	second, err := events[2].Decode()
	if err != nil {
		t.Fatal(err)
	}
	if second.Prev != first.Hash {
		t.Errorf("the second event of the stream names %s, want %s", second.Prev, first.Hash)
	}
}

func repeatingAnAppendReturnsTheFirstResult(t *testing.T, s eventstore.Store) {
	created, changed := drafts("a.x", "a.y"), drafts("a.z")
	first := mustAppend(t, s, "a-1", noStream, created...)
	second := mustAppend(t, s, "a-1", eventstore.Exactly(1), changed...)
	mustAppend(t, s, "a-1", eventstore.Exactly(2), NewDraft("a.x"))
	if diff := cmp.Diff(first, mustAppend(t, s, "a-1", noStream, created...)); diff != "" {
		t.Errorf("NoStream repeated (-first +repeated):\n%s", diff)
	}
	if diff := cmp.Diff(second, mustAppend(t, s, "a-1", eventstore.Exactly(1), changed...)); diff != "" {
		t.Errorf("Exactly(1) repeated (-first +repeated):\n%s", diff)
	}
	if got := len(Verify(t, s)); got != 4 {
		t.Errorf("%d events, want 4", got)
	}
}

func repeatingWithAnyReturnsTheFirstResult(t *testing.T, s eventstore.Store) {
	mustAppend(t, s, "a-1", anyState, NewDraft("a.x"))
	pair := drafts("a.x", "a.y")
	first := mustAppend(t, s, "a-1", anyState, pair...)
	mustAppend(t, s, "a-1", anyState, NewDraft("a.x"))
	if diff := cmp.Diff(first, mustAppend(t, s, "a-1", anyState, pair...)); diff != "" {
		t.Errorf("Any repeated (-first +repeated):\n%s", diff)
	}
	if got := len(Verify(t, s)); got != 4 {
		t.Errorf("%d events, want 4", got)
	}
}

func anIDOfAnotherEventIsADuplicate(t *testing.T, s eventstore.Store) {
	known := NewDraft("a.x")
	mustAppend(t, s, "a-1", noStream, known)
	mustAppend(t, s, "a-2", noStream, NewDraft("a.x"))
	other := known
	other.Type = "a.other"
	for _, c := range []struct {
		name     string
		stream   string
		expected eventstore.ExpectedRevision
		events   []eventstore.Draft
	}{
		{"in a new stream", "a-3", noStream, []eventstore.Draft{known}},
		{"in a new stream, any", "a-3", anyState, []eventstore.Draft{known}},
		{"in another stream", "a-2", eventstore.Exactly(0), []eventstore.Draft{known}},
		{"again in its stream", "a-1", eventstore.Exactly(0), []eventstore.Draft{known}},
		{"behind a new one", "a-2", eventstore.Exactly(0), []eventstore.Draft{NewDraft("a.x"), known}},
		{"of another type", "a-1", noStream, []eventstore.Draft{other}},
		{"twice in one append", "a-2", eventstore.Exactly(0), append(drafts("a.x"), other, other)},
	} {
		if _, err := s.Append(within(t), c.stream, c.expected, c.events...); !errors.Is(err, eventstore.ErrDuplicateID) {
			t.Errorf("an id %s: %v, want ErrDuplicateID", c.name, err)
		}
	}
	mustAppend(t, s, "a-1", eventstore.Exactly(0), NewDraft("a.x"))
	if got := len(Verify(t, s)); got != 3 {
		t.Errorf("%d events, want 3", got)
	}
}

func aPartialRepetitionIsRefused(t *testing.T, s eventstore.Store) {
	pair := drafts("a.x", "a.y")
	mustAppend(t, s, "a-1", noStream, pair...)
	longer := []eventstore.Draft{pair[0], pair[1], NewDraft("a.z")}
	swapped := []eventstore.Draft{pair[1], pair[0]}
	for _, events := range [][]eventstore.Draft{longer, swapped} {
		for _, expected := range []eventstore.ExpectedRevision{noStream, anyState, eventstore.Exactly(1)} {
			_, err := s.Append(within(t), "a-1", expected, events...)
			var conflict *eventstore.ConflictError
			if !errors.Is(err, eventstore.ErrDuplicateID) && !errors.As(err, &conflict) {
				t.Errorf("Append of %d events, some known = %v, want a conflict or ErrDuplicateID", len(events), err)
			}
		}
	}
	if got := len(Verify(t, s)); got != 2 {
		t.Errorf("%d events, want 2", got)
	}
}

func invalidDraftsAreRefused(t *testing.T, s eventstore.Store) {
	for name, change := range map[string]func(*eventstore.Draft){
		"id":     func(d *eventstore.Draft) { d.ID = uuid.Nil },
		"type":   func(d *eventstore.Draft) { d.Type = "" },
		"schema": func(d *eventstore.Draft) { d.Schema = 0 },
		"actor":  func(d *eventstore.Draft) { d.Actor.Kind = "" },
		"time":   func(d *eventstore.Draft) { d.Time = time.Time{} },
		"data":   func(d *eventstore.Draft) { d.Data = json.RawMessage(`[]`) },
	} {
		d := NewDraft("a.x")
		change(&d)
		_, err := s.Append(within(t), "a-1", noStream, d)
		if !errors.Is(err, eventstore.ErrInvalidDraft) || !strings.Contains(err.Error(), name) {
			t.Errorf("Append without %s = %v, want ErrInvalidDraft naming it", name, err)
		}
	}
	if _, err := s.Append(within(t), "a-1", noStream); !errors.Is(err, eventstore.ErrInvalidDraft) {
		t.Errorf("Append of nothing = %v, want ErrInvalidDraft", err)
	}
	if _, err := s.Append(within(t), "", noStream, NewDraft("a.x")); !errors.Is(err, eventstore.ErrInvalidDraft) {
		t.Errorf("Append to no stream = %v, want ErrInvalidDraft", err)
	}
	if got := len(All(t, s)); got != 0 {
		t.Errorf("%d events, want none", got)
	}
}

func largeRecordsAreKept(t *testing.T, s eventstore.Store) {
	d := NewDraft("a.x")
	probe, _, err := eventstore.Seal(d, "a-1", 0, eventstore.Hash{})
	if err != nil {
		t.Fatal(err)
	}
	room := eventstore.MaxRecordSize - len(probe) + len(d.Data) - len(`{"text":""}`)
	d.Data = json.RawMessage(`{"text":"` + strings.Repeat("é", room/2) + strings.Repeat("x", room%2) + `"}`)
	mustAppend(t, s, "a-1", noStream, d)
	over := NewDraft("a.x")
	over.Data = json.RawMessage(`{"text":"` + strings.Repeat("x", room+1) + `"}`)
	if _, err := s.Append(within(t), "a-2", noStream, over); !errors.Is(err, eventstore.ErrTooLarge) {
		t.Errorf("Append of one byte too many = %v, want ErrTooLarge", err)
	}
	events := Verify(t, s)
	if len(events) != 1 || len(events[0].Record) != eventstore.MaxRecordSize {
		t.Fatalf("%d events, the first of %d bytes, want one of %d", len(events), len(events[0].Record), eventstore.MaxRecordSize)
	}
}

func anEndedContextAppendsNothing(t *testing.T, s eventstore.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Append(ctx, "a-1", noStream, NewDraft("a.x")); !errors.Is(err, context.Canceled) {
		t.Errorf("Append = %v, want context.Canceled", err)
	}
	for _, err := range s.ReadAll(ctx, 0, eventstore.Filter{}) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("ReadAll = %v, want context.Canceled", err)
		}
	}
	mustAppend(t, s, "a-1", noStream, NewDraft("a.x"))
	if got := len(Verify(t, s)); got != 1 {
		t.Errorf("%d events, want 1", got)
	}
}
