package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
)

func whatIsAppendedIsVisible(t *testing.T, s eventstore.Store) {
	head, err := s.Head(within(t))
	if err != nil || head != 0 {
		t.Fatalf("Head of an empty ledger = %d, %v, want 0", head, err)
	}
	for i := range 20 {
		stream := fmt.Sprintf("a-%d", i%3)
		appended := mustAppend(t, s, stream, anyState, NewDraft("a.x"))
		head, err := s.Head(within(t))
		if err != nil || head < appended.Position() {
			t.Fatalf("Head = %d, %v after an append at %d", head, err, appended.Position())
		}
		newest := readStream(t, s, stream, appended.Revision, eventstore.Forwards)
		if len(newest) != 1 || newest[0].Hash != appended.Hash {
			t.Fatalf("revision %d of %s is not there", appended.Revision, stream)
		}
		if got := len(All(t, s)); got != i+1 {
			t.Fatalf("%d events, want %d", got, i+1)
		}
	}
}

func streamsReadBothWays(t *testing.T, s eventstore.Store) {
	const n = 700
	var want []uuid.UUID
	for len(want) < n {
		some := drafts(slices.Repeat([]string{"a.x"}, 70)...)
		mustAppend(t, s, "a-1", anyState, some...)
		want = append(want, idsOfDrafts(some)...)
		mustAppend(t, s, "a-2", anyState, NewDraft("a.x"))
	}
	backwards := slices.Clone(want)
	slices.Reverse(backwards)
	for _, c := range []struct {
		from      int64
		direction eventstore.Direction
		want      []uuid.UUID
	}{
		{0, eventstore.Forwards, want},
		{n - 1, eventstore.Forwards, want[n-1:]},
		{300, eventstore.Forwards, want[300:]},
		{n, eventstore.Forwards, nil},
		{eventstore.End, eventstore.Backwards, backwards},
		{n + 5, eventstore.Backwards, backwards},
		{0, eventstore.Backwards, want[:1]},
		{300, eventstore.Backwards, backwards[n-301:]},
	} {
		got := readStream(t, s, "a-1", c.from, c.direction)
		if !slices.Equal(idsOf(got), c.want) {
			t.Errorf("ReadStream from %d, backwards %v: %d events, want %d in their order", c.from, c.direction, len(got), len(c.want))
		}
	}
	for _, direction := range []eventstore.Direction{eventstore.Forwards, eventstore.Backwards} {
		if got := readStream(t, s, "a-3", eventstore.End, direction); len(got) != 0 {
			t.Errorf("a stream that does not exist has %d events", len(got))
		}
	}
}

func readAllFiltersAndResumes(t *testing.T, s eventstore.Store) {
	types := []string{"agent.created", "token.issued", "auth.failed", "token.issued", "agent.suspended", "token.issued"}
	for i := range 50 {
		mustAppend(t, s, fmt.Sprintf("a-%d", i), noStream, drafts(types...)...)
	}
	tenant, since := uuid.New(), time.Now().Add(time.Hour).Truncate(time.Microsecond)
	for i := range 5 {
		few := drafts("agent.created", "token.issued")
		for j := range few {
			few[j].Organization, few[j].Time = tenant, since.Add(time.Duration(i)*time.Minute)
		}
		mustAppend(t, s, fmt.Sprintf("b-%d", i), noStream, few...)
	}
	all := Verify(t, s)
	for _, filter := range []eventstore.Filter{
		{},
		{Types: []string{"agent.created"}},
		{Types: []string{"agent.suspended", "agent.created", "agent.suspended"}},
		{Types: []string{"token.issued", "agent.created"}},
		{Types: []string{"auth.failed"}},
		{Types: []string{"agent.deleted"}},
		{Organization: tenant},
		{Organization: tenant, Types: []string{"token.issued"}},
		{From: since.Add(time.Minute)},
		{To: since},
		{From: since.Add(time.Minute), To: since.Add(2 * time.Minute)},
	} {
		for _, skip := range []int{0, 1, 150, len(all) - 1, len(all)} {
			var after eventstore.Position
			if skip > 0 {
				after = all[skip-1].Position
			}
			var want []uuid.UUID
			for _, e := range all[skip:] {
				if filter.Passes(e) {
					want = append(want, e.ID)
				}
			}
			got := idsOf(readAll(t, s, after, filter))
			if !slices.Equal(got, want) {
				t.Errorf("ReadAll of %v after %d events: %d events, want %d in their order", filter.Types, skip, len(got), len(want))
			}
		}
	}
}

func theNewestAreTheLast(t *testing.T, s eventstore.Store) {
	if newest, err := s.Newest(within(t), 10, eventstore.Filter{}); err != nil || len(newest) != 0 {
		t.Fatalf("the newest of an empty ledger are %d events, %v", len(newest), err)
	}
	tenant := uuid.New()
	rare := drafts("agent.created", "token.issued", "token.issued")
	for i := range rare {
		rare[i].Organization = tenant
	}
	mustAppend(t, s, "b-1", noStream, rare...)
	for i := range 6 {
		mustAppend(t, s, fmt.Sprintf("a-%d", i), noStream, drafts(slices.Repeat([]string{"token.issued", "a.x"}, 60)...)...)
	}
	all := Verify(t, s)
	for _, c := range []struct {
		n      int
		filter eventstore.Filter
	}{
		{0, eventstore.Filter{}},
		{1, eventstore.Filter{}},
		{600, eventstore.Filter{}},
		{5000, eventstore.Filter{}},
		{10, eventstore.Filter{Types: []string{"a.x"}}},
		{1, eventstore.Filter{Types: []string{"agent.created"}}},
		{2, eventstore.Filter{Organization: tenant}},
	} {
		var want []uuid.UUID
		for _, e := range all {
			if c.filter.Passes(e) {
				want = append(want, e.ID)
			}
		}
		want = want[max(0, len(want)-c.n):]
		got, err := s.Newest(within(t), c.n, c.filter)
		if err != nil || !slices.Equal(idsOf(got), want) {
			t.Errorf("the newest %d of %v: %d events, %v; want the last %d in their order", c.n, c.filter, len(got), err, len(want))
		}
	}
}

func aReadMayBeLeftEarly(t *testing.T, s eventstore.Store) {
	some := drafts(slices.Repeat([]string{"a.x"}, 200)...)
	mustAppend(t, s, "a-1", noStream, some...)
	for range 20 {
		for e, err := range s.ReadAll(within(t), 0, eventstore.Filter{}) {
			if err != nil || e.ID != some[0].ID {
				t.Fatalf("ReadAll begins with %s, %v, want %s", e.ID, err, some[0].ID)
			}
			break
		}
		for e, err := range s.ReadStream(within(t), "a-1", eventstore.End, eventstore.Backwards) {
			if err != nil || e.ID != some[199].ID {
				t.Fatalf("ReadStream begins with %s, %v, want %s", e.ID, err, some[199].ID)
			}
			break
		}
	}
	if diff := cmp.Diff(idsOfDrafts(some), idsOf(All(t, s))); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
}
