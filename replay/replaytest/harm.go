package replaytest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/postgres"
	"github.com/sentryagent/agentidp/replay/verify"
)

// Harm is something that was done to a ledger.
type Harm struct {
	Do    func(t testing.TB, a *Archive) (index int64) // of the first wrong event
	Kind  verify.Kind
	gone  bool // the event at the index is gone, and what stands there is another
	after bool // no event stands at the index
	// What is found where the log was made to fit too, when that is not the same.
	// What was removed or inserted is then found where its chain shows it.
	fitted verify.Kind
}

// seal makes an event anew, with other data.
func seal(t testing.TB, e eventstore.Event, id uuid.UUID, revision int64, prev eventstore.Hash, data string) eventstore.Event {
	t.Helper()
	record, err := e.Decode()
	if err != nil {
		t.Fatal(err)
	}
	draft := record.Draft
	draft.ID = id
	if data != "" {
		draft.Data = []byte(data)
	}
	sealed, err := eventstore.SealEvent(draft, e.Stream, revision, prev)
	if err != nil {
		t.Fatal(err)
	}
	sealed.Position = e.Position
	return sealed
}

// reseal makes the chain of a stream fit again from an index on, without regard
// to what its events were; revisions count on.
func reseal(t testing.TB, events []eventstore.Event, from int, stream string) {
	t.Helper()
	revision, prev := int64(-1), eventstore.Hash{}
	for i, e := range events {
		if e.Stream != stream {
			continue
		}
		if i >= from {
			events[i] = seal(t, e, e.ID, revision+1, prev, "")
		}
		revision, prev = events[i].Revision, events[i].Hash
	}
}

// renumber closes up positions.
func renumber(events []eventstore.Event) []eventstore.Event {
	for i := range events {
		events[i].Position = eventstore.Position(i + 1)
	}
	return events
}

// Middle is an event of an agent in the middle of its stream: with several
// before and after it.
func (a *Archive) Middle(from int) int {
	for i := from; ; i++ {
		e := a.Events[i]
		if e.Type != "token.issued" || e.Revision < 2 {
			continue
		}
		if later := slices.IndexFunc(a.Events[i+1:], func(o eventstore.Event) bool { return o.Stream == e.Stream }); later > 0 {
			return i
		}
	}
}

// Harms are all that is tried on a ledger, by name.
var Harms = map[string]Harm{
	"one byte changed": {Kind: verify.AlteredEvent, Do: func(t testing.TB, a *Archive) int64 {
		i := a.Middle(6_500)
		a.Exec(t, `UPDATE events SET record = set_byte(record, 400, get_byte(record, 400) # 1) WHERE position = $1`, i+1)
		return int64(i)
	}},
	"one byte made a line break": {Kind: verify.AlteredEvent, Do: func(t testing.TB, a *Archive) int64 {
		i := a.Middle(6_500)
		a.Exec(t, `UPDATE events SET record = set_byte(record, 400, 10), hash = sha256(set_byte(record, 400, 10)) WHERE position = $1`, i+1)
		return int64(i)
	}},
	"replaced, its stream sealed again": {Kind: verify.AlteredEvent, fitted: verify.RestoredBackup, Do: func(t testing.TB, a *Archive) int64 {
		i := a.Middle(6_500)
		events := slices.Clone(a.Events)
		events[i] = seal(t, events[i], uuid.New(), events[i].Revision, eventstore.Hash{}, `{"forged":true}`)
		reseal(t, events, i, events[i].Stream)
		a.Replace(t, events)
		return int64(i)
	}},
	"deleted, positions closed up": {Kind: verify.RemovedEvent, gone: true, Do: func(t testing.TB, a *Archive) int64 {
		i := a.Middle(6_500)
		a.Replace(t, renumber(slices.Delete(slices.Clone(a.Events), i, i+1)))
		return int64(i)
	}},
	"deleted, its stream sealed again": {Kind: verify.RemovedEvent, gone: true, fitted: verify.TruncatedTail, Do: func(t testing.TB, a *Archive) int64 {
		i := a.Middle(6_500)
		events := renumber(slices.Delete(slices.Clone(a.Events), i, i+1))
		reseal(t, events, i, a.Events[i].Stream)
		a.Replace(t, events)
		return int64(i)
	}},
	"two events swapped": {Kind: verify.ReorderedEvents, gone: true, fitted: verify.RestoredBackup, Do: func(t testing.TB, a *Archive) int64 {
		i := a.Middle(6_500)
		j := i + 1
		for a.Events[j].Stream == a.Events[i].Stream {
			j++
		}
		events := slices.Clone(a.Events)
		events[i], events[j] = events[j], events[i]
		a.Replace(t, renumber(events))
		return int64(i)
	}},
	"two events of a stream swapped": {Kind: verify.ReorderedEvents, gone: true, Do: func(t testing.TB, a *Archive) int64 {
		i := a.Middle(6_500)
		j := i + 1 + slices.IndexFunc(a.Events[i+1:], func(e eventstore.Event) bool { return e.Stream == a.Events[i].Stream })
		events := slices.Clone(a.Events)
		events[i], events[j] = events[j], events[i]
		a.Replace(t, renumber(events))
		return int64(i)
	}},
	"inserted": {Kind: verify.InsertedEvent, fitted: verify.RestoredBackup, Do: func(t testing.TB, a *Archive) int64 {
		i := a.Middle(6_500)
		events := slices.Insert(slices.Clone(a.Events), i, a.Events[i])
		events[i] = seal(t, events[i], uuid.New(), events[i].Revision, eventstore.Hash{}, `{"forged":true}`)
		reseal(t, events, i, events[i].Stream)
		a.Replace(t, renumber(events))
		return int64(i)
	}},
	"inserted, its stream left as it was": {Kind: verify.InsertedEvent, Do: func(t testing.TB, a *Archive) int64 {
		i := a.Middle(6_500)
		a.Exec(t, `ALTER TABLE events DROP CONSTRAINT events_stream_revision_key`)
		events := slices.Insert(slices.Clone(a.Events), i, a.Events[i])
		record, err := events[i].Decode()
		if err != nil {
			t.Fatal(err)
		}
		events[i] = seal(t, events[i], uuid.New(), events[i].Revision, record.Prev, `{"forged":true}`)
		a.Replace(t, renumber(events))
		return int64(i)
	}},
	"the last 100 gone": {Kind: verify.TruncatedTail, after: true, Do: func(t testing.TB, a *Archive) int64 {
		a.Exec(t, `DELETE FROM events WHERE position > $1`, BookedEvents-100)
		a.Exec(t, `UPDATE ledger_head SET position = $1`, BookedEvents-100)
		return BookedEvents - 100
	}},
	"a stream gone": {Kind: verify.RemovedStream, gone: true, fitted: verify.TruncatedTail, Do: func(t testing.TB, a *Archive) int64 {
		stream := a.Events[a.Middle(6_500)].Stream
		i := slices.IndexFunc(a.Events, func(e eventstore.Event) bool { return e.Stream == stream })
		a.Replace(t, renumber(slices.DeleteFunc(slices.Clone(a.Events), func(e eventstore.Event) bool { return e.Stream == stream })))
		return int64(i)
	}},
	"written anew": {Kind: verify.RewrittenLedger, Do: func(t testing.TB, a *Archive) int64 {
		a.Replace(t, Write(Seed+1, BookedEvents, a.Events[0].RecordedAt).Events)
		return 0
	}},
	"yesterday's backup, written on": {Kind: verify.RestoredBackup, Do: func(t testing.TB, a *Archive) int64 {
		const backedUp = 7_000
		a.Exec(t, `DELETE FROM events WHERE position > $1`, backedUp)
		a.Exec(t, `UPDATE ledger_head SET position = $1`, backedUp)
		a.Exec(t, `DELETE FROM checkpoints WHERE position > $1`, backedUp)
		a.WriteOn(t, BookedEvents+50-backedUp)
		a.FitLog(t) // the projection was restored with it, and goes on too
		return backedUp
	}},
	"yesterday's backup, hardly written on": {Kind: verify.RestoredBackup, Do: func(t testing.TB, a *Archive) int64 {
		const backedUp = 7_000
		a.Exec(t, `DELETE FROM events WHERE position > $1`, backedUp)
		a.Exec(t, `UPDATE ledger_head SET position = $1`, backedUp)
		a.WriteOn(t, 3)
		return backedUp
	}},
}

// WriteOn appends events of today to streams that are there, as a server does that
// knew nothing of the ledger before.
func (a *Archive) WriteOn(t testing.TB, events int) {
	t.Helper()
	stranger := postgres.New(t.Context(), a.Pool, postgres.Options{})
	defer stranger.Close()
	for written := 0; written < events; {
		template := a.Events[5_000+written%1_000]
		record, err := template.Decode()
		if err != nil {
			t.Fatal(err)
		}
		var drafts []eventstore.Draft
		for range min(100, events-written) {
			draft := record.Draft
			draft.ID, draft.Time = uuid.New(), time.Now()
			drafts = append(drafts, draft)
		}
		if _, err := stranger.Append(t.Context(), template.Stream, eventstore.Any(), drafts...); err != nil {
			t.Fatal(err)
		}
		written += len(drafts)
	}
}

// Expect compares a finding with what was done. As far as the log was made to
// fit, the place is that of the newest checkpoint before it.
func (h Harm) Expect(t testing.TB, a *Archive, found *verify.Finding, index int64, fitted bool) {
	t.Helper()
	kind := h.Kind
	if fitted && h.fitted != "" {
		kind = h.fitted
	}
	if found == nil || found.Kind != kind {
		t.Fatalf("found %s, want %s at %d", Describe(found), kind, index)
	}
	if found.Detail == "" {
		t.Error("the finding says nothing")
	}
	if fitted && (h.fitted != "" || h.Kind == verify.InsertedEvent || h.Kind == verify.RemovedEvent) {
		if found.Index < 6_000 { // what was signed with 6,000 events is still signed
			t.Errorf("found %s, before what is signed", Describe(found))
		}
		return
	}
	if found.Index != index {
		t.Errorf("found %s, want it at %d", Describe(found), index)
	}
	if h.after != (found.EventID == uuid.Nil) {
		t.Errorf("found %s, want an event named: %v", Describe(found), !h.after)
	} else if now := a.at(t, index); !h.after && (found.EventID != now.ID || found.Stream != now.Stream || found.Revision != now.Revision) {
		t.Errorf("found %s, want event %s named, revision %d of %s", Describe(found), now.ID, now.Revision, now.Stream)
	}
	if found.Position != eventstore.Position(index+1) {
		t.Errorf("found %s, want position %d", Describe(found), index+1)
	}
	if !fitted && found.Kind != verify.RestoredBackup && (found.Logged == nil || *found.Logged != a.Events[index].Hash) {
		t.Errorf("found %s with logged hash %v, want that of %s", Describe(found), found.Logged, a.Events[index].ID)
	}
}
