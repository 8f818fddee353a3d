// Package storetest is the suite that every engine of [eventstore.Store] runs.
// Its cases are named after the clauses of the contract that they hold the
// engine to. Start with [Run].
package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
)

// Run holds an engine to the contract. open returns a store on an empty ledger
// of its own and sees to its closing; it is called once for each case, also
// from cases that run at the same time.
func Run(t *testing.T, open func(t *testing.T) eventstore.Store) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, eventstore.Store)
	}{
		{"AppendIsAllOrNothing", appendIsAllOrNothing},
		{"AppendChecksTheExpectedRevision", appendChecksTheExpectedRevision},
		{"AConflictCarriesBothRevisions", aConflictCarriesBothRevisions},
		{"AppendSealsIntoTheChain", appendSealsIntoTheChain},
		{"RepeatingAnAppendReturnsTheFirstResult", repeatingAnAppendReturnsTheFirstResult},
		{"RepeatingWithAnyReturnsTheFirstResult", repeatingWithAnyReturnsTheFirstResult},
		{"AnIDOfAnotherEventIsADuplicate", anIDOfAnotherEventIsADuplicate},
		{"APartialRepetitionIsRefused", aPartialRepetitionIsRefused},
		{"InvalidDraftsAreRefused", invalidDraftsAreRefused},
		{"LargeRecordsAreKeptTooLargeOnesRefused", largeRecordsAreKept},
		{"AnEndedContextAppendsNothing", anEndedContextAppendsNothing},
		{"WhatIsAppendedIsVisibleToReads", whatIsAppendedIsVisible},
		{"StreamsReadBothWays", streamsReadBothWays},
		{"ReadAllFiltersAndResumes", readAllFiltersAndResumes},
		{"TheNewestAreTheLastOfAll", theNewestAreTheLast},
		{"AReadMayBeLeftEarly", aReadMayBeLeftEarly},
		{"AReadThatIsCutOffSaysSo", aReadThatIsCutOffSaysSo},
		{"OneRevisionIsWonOnce", oneRevisionIsWonOnce},
		{"StreamsDoNotHinderEachOther", streamsDoNotHinderEachOther},
		{"ASubscriptionNeitherSkipsNorRepeats", aSubscriptionNeitherSkipsNorRepeats},
		{"ASubscriptionResumesFromAPosition", aSubscriptionResumes},
		{"AnIdleFilterStillAdvances", anIdleFilterStillAdvances},
		{"ABatchIsBounded", aBatchIsBounded},
		{"NextEndsWithItsContext", nextEndsWithItsContext},
		{"TheStoreBehavesAsItsModel", theStoreBehavesAsItsModel},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, open(t))
		})
	}
}

// patience bounds what may take time on a busy machine.
const patience = time.Minute

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// NewDraft is an event that is fit to be appended, with an id of its own.
func NewDraft(eventType string) eventstore.Draft {
	id := uuid.Must(uuid.NewV7())
	return eventstore.Draft{
		ID:           id,
		Type:         eventType,
		Schema:       1,
		Organization: uuid.MustParse("0190b5a0-0000-7000-8000-000000000001"),
		Actor:        eventstore.Actor{Kind: "agent", ID: "0190b5a0-0000-7000-8000-000000000002"},
		Time:         time.Now(),
		Request:      eventstore.Request{ID: "req-7", IP: "192.0.2.1", Agent: "storetest"},
		Data:         json.RawMessage(fmt.Sprintf(`{"marker":%q}`, id)),
	}
}

func drafts(types ...string) []eventstore.Draft {
	list := make([]eventstore.Draft, len(types))
	for i, eventType := range types {
		list[i] = NewDraft(eventType)
	}
	return list
}

func mustAppend(t testing.TB, s eventstore.Store, stream string, expected eventstore.ExpectedRevision, events ...eventstore.Draft) eventstore.Appended {
	t.Helper()
	appended, err := s.Append(within(t), stream, expected, events...)
	if err != nil {
		t.Fatalf("Append to %s: %v", stream, err)
	}
	return appended
}

// All reads the whole ledger.
func All(t testing.TB, s eventstore.Store) []eventstore.Event {
	t.Helper()
	return readAll(t, s, 0, eventstore.Filter{})
}

func readAll(t testing.TB, s eventstore.Store, after eventstore.Position, filter eventstore.Filter) (events []eventstore.Event) {
	t.Helper()
	for e, err := range s.ReadAll(within(t), after, filter) {
		if err != nil {
			t.Fatalf("ReadAll: %v", err)
		}
		events = append(events, e)
	}
	return events
}

func readStream(t testing.TB, s eventstore.Store, stream string, from int64, direction eventstore.Direction) (events []eventstore.Event) {
	t.Helper()
	for e, err := range s.ReadStream(within(t), stream, from, direction) {
		if err != nil {
			t.Fatalf("ReadStream: %v", err)
		}
		events = append(events, e)
	}
	return events
}

// Verify reads the whole ledger and checks its chain.
func Verify(t testing.TB, s eventstore.Store) []eventstore.Event {
	t.Helper()
	events := All(t, s)
	chain := eventstore.NewChain(eventstore.ChainOptions{})
	ids := make(map[uuid.UUID]bool, len(events))
	for _, e := range events {
		if err := chain.Check(e); err != nil {
			t.Fatalf("the chain is broken: %v", err)
		}
		if ids[e.ID] {
			t.Fatalf("event %s is in the ledger twice", e.ID)
		}
		ids[e.ID] = true
	}
	return events
}

func idsOf(events []eventstore.Event) []uuid.UUID {
	ids := make([]uuid.UUID, len(events))
	for i := range events {
		ids[i] = events[i].ID
	}
	return ids
}

func idsOfDrafts(events []eventstore.Draft) []uuid.UUID {
	ids := make([]uuid.UUID, len(events))
	for i := range events {
		ids[i] = events[i].ID
	}
	return ids
}
