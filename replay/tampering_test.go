package replay_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/postgres"
	"github.com/sentryagent/agentidp/replay"
)

// harm is something that was done to a ledger.
type harm struct {
	do    func(t testing.TB, a *archive) (index int64) // of the first wrong event
	kind  replay.Kind
	gone  bool // the event at the index is gone, and what stands there is another
	after bool // no event stands at the index
	// What is found where the log was made to fit too, when that is not the same.
	// What was removed or inserted is then found where its chain shows it.
	fitted replay.Kind
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

// middle is an event of an agent in the middle of its stream: with several
// before and after it.
func (a *archive) middle(from int) int {
	for i := from; ; i++ {
		e := a.events[i]
		if e.Type != "token.issued" || e.Revision < 2 {
			continue
		}
		if later := slices.IndexFunc(a.events[i+1:], func(o eventstore.Event) bool { return o.Stream == e.Stream }); later > 0 {
			return i
		}
	}
}

var harms = map[string]harm{
	"one byte changed": {kind: replay.AlteredEvent, do: func(t testing.TB, a *archive) int64 {
		i := a.middle(6_500)
		a.exec(t, `UPDATE events SET record = set_byte(record, 400, get_byte(record, 400) # 1) WHERE position = $1`, i+1)
		return int64(i)
	}},
	"one byte made a line break": {kind: replay.AlteredEvent, do: func(t testing.TB, a *archive) int64 {
		i := a.middle(6_500)
		a.exec(t, `UPDATE events SET record = set_byte(record, 400, 10), hash = sha256(set_byte(record, 400, 10)) WHERE position = $1`, i+1)
		return int64(i)
	}},
	"replaced, its stream sealed again": {kind: replay.AlteredEvent, fitted: replay.RestoredBackup, do: func(t testing.TB, a *archive) int64 {
		i := a.middle(6_500)
		events := slices.Clone(a.events)
		events[i] = seal(t, events[i], uuid.New(), events[i].Revision, eventstore.Hash{}, `{"forged":true}`)
		reseal(t, events, i, events[i].Stream)
		a.replace(t, events)
		return int64(i)
	}},
	"deleted, positions closed up": {kind: replay.RemovedEvent, gone: true, do: func(t testing.TB, a *archive) int64 {
		i := a.middle(6_500)
		a.replace(t, renumber(slices.Delete(slices.Clone(a.events), i, i+1)))
		return int64(i)
	}},
	"deleted, its stream sealed again": {kind: replay.RemovedEvent, gone: true, fitted: replay.TruncatedTail, do: func(t testing.TB, a *archive) int64 {
		i := a.middle(6_500)
		events := renumber(slices.Delete(slices.Clone(a.events), i, i+1))
		reseal(t, events, i, a.events[i].Stream)
		a.replace(t, events)
		return int64(i)
	}},
	"two events swapped": {kind: replay.ReorderedEvents, gone: true, fitted: replay.RestoredBackup, do: func(t testing.TB, a *archive) int64 {
		i := a.middle(6_500)
		j := i + 1
		for a.events[j].Stream == a.events[i].Stream {
			j++
		}
		events := slices.Clone(a.events)
		events[i], events[j] = events[j], events[i]
		a.replace(t, renumber(events))
		return int64(i)
	}},
	"two events of a stream swapped": {kind: replay.ReorderedEvents, gone: true, do: func(t testing.TB, a *archive) int64 {
		i := a.middle(6_500)
		j := i + 1 + slices.IndexFunc(a.events[i+1:], func(e eventstore.Event) bool { return e.Stream == a.events[i].Stream })
		events := slices.Clone(a.events)
		events[i], events[j] = events[j], events[i]
		a.replace(t, renumber(events))
		return int64(i)
	}},
	"inserted": {kind: replay.InsertedEvent, fitted: replay.RestoredBackup, do: func(t testing.TB, a *archive) int64 {
		i := a.middle(6_500)
		events := slices.Insert(slices.Clone(a.events), i, a.events[i])
		events[i] = seal(t, events[i], uuid.New(), events[i].Revision, eventstore.Hash{}, `{"forged":true}`)
		reseal(t, events, i, events[i].Stream)
		a.replace(t, renumber(events))
		return int64(i)
	}},
	"inserted, its stream left as it was": {kind: replay.InsertedEvent, do: func(t testing.TB, a *archive) int64 {
		i := a.middle(6_500)
		a.exec(t, `ALTER TABLE events DROP CONSTRAINT events_stream_revision_key`)
		events := slices.Insert(slices.Clone(a.events), i, a.events[i])
		record, err := events[i].Decode()
		if err != nil {
			t.Fatal(err)
		}
		events[i] = seal(t, events[i], uuid.New(), events[i].Revision, record.Prev, `{"forged":true}`)
		a.replace(t, renumber(events))
		return int64(i)
	}},
	"the last 100 gone": {kind: replay.TruncatedTail, after: true, do: func(t testing.TB, a *archive) int64 {
		a.exec(t, `DELETE FROM events WHERE position > $1`, bookedEvents-100)
		a.exec(t, `UPDATE ledger_head SET position = $1`, bookedEvents-100)
		return bookedEvents - 100
	}},
	"a stream gone": {kind: replay.RemovedStream, gone: true, fitted: replay.TruncatedTail, do: func(t testing.TB, a *archive) int64 {
		stream := a.events[a.middle(6_500)].Stream
		i := slices.IndexFunc(a.events, func(e eventstore.Event) bool { return e.Stream == stream })
		a.replace(t, renumber(slices.DeleteFunc(slices.Clone(a.events), func(e eventstore.Event) bool { return e.Stream == stream })))
		return int64(i)
	}},
	"written anew": {kind: replay.RewrittenLedger, do: func(t testing.TB, a *archive) int64 {
		a.replace(t, write(seed+1, bookedEvents, a.events[0].RecordedAt).events)
		return 0
	}},
	"yesterday's backup, written on": {kind: replay.RestoredBackup, do: func(t testing.TB, a *archive) int64 {
		const backedUp = 7_000
		a.exec(t, `DELETE FROM events WHERE position > $1`, backedUp)
		a.exec(t, `UPDATE ledger_head SET position = $1`, backedUp)
		a.exec(t, `DELETE FROM checkpoints WHERE position > $1`, backedUp)
		a.writeOn(t, bookedEvents+50-backedUp)
		a.fitLog(t) // the projection was restored with it, and goes on too
		return backedUp
	}},
	"yesterday's backup, hardly written on": {kind: replay.RestoredBackup, do: func(t testing.TB, a *archive) int64 {
		const backedUp = 7_000
		a.exec(t, `DELETE FROM events WHERE position > $1`, backedUp)
		a.exec(t, `UPDATE ledger_head SET position = $1`, backedUp)
		a.writeOn(t, 3)
		return backedUp
	}},
}

// writeOn appends events of today to streams that are there, as a server does that
// knew nothing of the ledger before.
func (a *archive) writeOn(t testing.TB, events int) {
	t.Helper()
	stranger := postgres.New(t.Context(), a.pool, postgres.Options{})
	defer stranger.Close()
	for written := 0; written < events; {
		template := a.events[5_000+written%1_000]
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

// expect compares a finding with what was done. As far as the log was made to
// fit, the place is that of the newest checkpoint before it.
func (h harm) expect(t testing.TB, a *archive, found *replay.Finding, index int64, fitted bool) {
	t.Helper()
	kind := h.kind
	if fitted && h.fitted != "" {
		kind = h.fitted
	}
	if found == nil || found.Kind != kind {
		t.Fatalf("found %s, want %s at %d", describe(found), kind, index)
	}
	if found.Detail == "" {
		t.Error("the finding says nothing")
	}
	if fitted && (h.fitted != "" || h.kind == replay.InsertedEvent || h.kind == replay.RemovedEvent) {
		if found.Index < 6_000 { // what was signed with 6,000 events is still signed
			t.Errorf("found %s, before what is signed", describe(found))
		}
		return
	}
	if found.Index != index {
		t.Errorf("found %s, want it at %d", describe(found), index)
	}
	if h.after != (found.EventID == uuid.Nil) {
		t.Errorf("found %s, want an event named: %v", describe(found), !h.after)
	} else if now := a.at(t, index); !h.after && (found.EventID != now.ID || found.Stream != now.Stream || found.Revision != now.Revision) {
		t.Errorf("found %s, want event %s named, revision %d of %s", describe(found), now.ID, now.Revision, now.Stream)
	}
	if found.Position != eventstore.Position(index+1) {
		t.Errorf("found %s, want position %d", describe(found), index+1)
	}
	if !fitted && found.Kind != replay.RestoredBackup && (found.Logged == nil || *found.Logged != a.events[index].Hash) {
		t.Errorf("found %s with logged hash %v, want that of %s", describe(found), found.Logged, a.events[index].ID)
	}
}

// Live and in an export, before and after the log was made to fit.
func TestWhatWasDoneIsFound(t *testing.T) {
	t.Parallel()
	for name, h := range harms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newArchive(t)
			index := h.do(t, a)
			report, err := a.verifier(a.outside()).Verify(t.Context(), replay.Scope{})
			if err != nil {
				t.Fatal(err)
			}
			h.expect(t, a, report.Break, index, false)
			h.checkExport(t, a, index, false)
			a.fitLog(t)
			if report, err = a.verifier(a.outside()).Verify(t.Context(), replay.Scope{}); err != nil {
				t.Fatal(err)
			}
			h.expect(t, a, report.Break, index, true)
			h.checkExport(t, a, index, true)
		})
	}
}

// Somebody who does not close up positions has taken out no less for that.
func TestAGapIsARemovedEventAlsoWhereTheLogWasMadeToFit(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	stream := a.events[a.middle(6_500)].Stream
	a.exec(t, `DELETE FROM events WHERE stream = $1`, stream)
	for _, want := range []replay.Kind{replay.RemovedStream, replay.RemovedEvent} {
		report, err := a.verifier(a.outside()).Verify(t.Context(), replay.Scope{})
		if err != nil {
			t.Fatal(err)
		}
		if report.Break == nil || report.Break.Kind != want {
			t.Errorf("found %s, want %s", describe(report.Break), want)
		}
		a.fitLog(t)
	}
}
