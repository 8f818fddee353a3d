package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/sentryagent/agentidp/eventstore"
)

// theStoreBehavesAsItsModel appends at random to a few streams and compares
// every answer with that of lists of ids.
func theStoreBehavesAsItsModel(t *testing.T, s eventstore.Store) {
	run := 0
	rapid.Check(t, func(r *rapid.T) {
		run++ // each run has streams of its own
		streams := make(map[string][]uuid.UUID)
		var done []attempt
		for range rapid.IntRange(1, 12).Draw(r, "appends") {
			a := attempt{stream: fmt.Sprintf("run-%d-%d", run, rapid.IntRange(0, 2).Draw(r, "stream"))}
			if len(done) > 0 && rapid.IntRange(0, 3).Draw(r, "repeat") == 0 {
				a = rapid.SampledFrom(done).Draw(r, "which")
			} else {
				a.events = drafts(slices.Repeat([]string{"a.x"}, rapid.IntRange(1, 3).Draw(r, "events"))...)
				a.expected = anyState
				if rapid.Bool().Draw(r, "exact") {
					a.expected = eventstore.Exactly(int64(len(streams[a.stream])) - 1 + int64(rapid.IntRange(-1, 1).Draw(r, "off")))
				}
			}
			check(r, s, streams, a, &done)
		}
		for stream, want := range streams {
			var got []uuid.UUID
			for e, err := range s.ReadStream(t.Context(), stream, 0, eventstore.Forwards) {
				if err != nil {
					r.Fatalf("ReadStream: %v", err)
				}
				got = append(got, e.ID)
			}
			if !slices.Equal(got, want) {
				r.Fatalf("stream %s holds %v, want %v", stream, got, want)
			}
		}
	})
	Verify(t, s)
}

// attempt is an append and, once it has succeeded, where its events are.
type attempt struct {
	stream   string
	expected eventstore.ExpectedRevision
	events   []eventstore.Draft
	last     int64
	hash     eventstore.Hash
	stored   bool
}

func check(r *rapid.T, s eventstore.Store, streams map[string][]uuid.UUID, a attempt, done *[]attempt) {
	head := int64(len(streams[a.stream])) - 1
	appended, err := s.Append(r.Context(), a.stream, a.expected, a.events...)
	var conflict *eventstore.ConflictError
	switch {
	case a.stored:
		if err != nil || appended.Revision != a.last || appended.Hash != a.hash {
			r.Fatalf("repeated: revision %d, %v, want %d as the first time", appended.Revision, err, a.last)
		}
	case !a.expected.IsAny() && a.expected.Revision() != head:
		if !errors.As(err, &conflict) || conflict.Actual != head || conflict.Expected != a.expected.Revision() {
			r.Fatalf("at revision %d expecting %d: %v, want a conflict", head, a.expected.Revision(), err)
		}
	default:
		if err != nil || appended.Revision != head+int64(len(a.events)) {
			r.Fatalf("%d events at revision %d: revision %d, %v", len(a.events), head, appended.Revision, err)
		}
		streams[a.stream] = append(streams[a.stream], idsOfDrafts(a.events)...)
		a.stored, a.last, a.hash = true, appended.Revision, appended.Hash
		*done = append(*done, a)
	}
}
