package eventstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
)

// history is n events spread over some streams.
func history(t testing.TB, n, streams int) []eventstore.Event {
	t.Helper()
	type head struct {
		revision int64
		hash     eventstore.Hash
	}
	heads := make(map[string]head)
	events := make([]eventstore.Event, n)
	for i := range events {
		d := draft()
		d.ID = uuid.NewSHA1(uuid.NameSpaceURL, fmt.Append(nil, i))
		d.Time = d.Time.Add(time.Duration(i) * time.Microsecond)
		name := fmt.Sprintf("agent-01890a5d-ac96-774b-bcce-%012d", i%streams)
		h, ok := heads[name]
		if !ok {
			h.revision = -1
		}
		record, hash, err := eventstore.Seal(d, name, h.revision+1, h.hash)
		if err != nil {
			t.Fatal(err)
		}
		heads[name] = head{h.revision + 1, hash}
		decoded, err := eventstore.DecodeRecord(record)
		if err != nil {
			t.Fatal(err)
		}
		events[i] = eventOf(decoded, record, hash, eventstore.Position(i+1))
	}
	return events
}

func firstBreak(t *testing.T, options eventstore.ChainOptions, events []eventstore.Event) *eventstore.Break {
	t.Helper()
	chain := eventstore.NewChain(options)
	for _, e := range events {
		if err := chain.Check(e); err != nil {
			var broken *eventstore.Break
			if !errors.As(err, &broken) {
				t.Fatalf("Check = %v, want a *Break", err)
			}
			return broken
		}
	}
	return nil
}

// reseal writes the record of an event anew, as somebody would who can write
// to the database.
func reseal(t *testing.T, e *eventstore.Event, change func(*eventstore.Record)) {
	t.Helper()
	r, err := e.Decode()
	if err != nil {
		t.Fatal(err)
	}
	change(&r)
	e.Record, e.Hash, err = eventstore.Seal(r.Draft, r.Stream, r.Revision, r.Prev)
	if err != nil {
		t.Fatal(err)
	}
}

func TestChainHolds(t *testing.T) {
	events := history(t, 60, 4)
	dense := eventstore.ChainOptions{Dense: true}
	if found := firstBreak(t, dense, events); found != nil {
		t.Errorf("an intact chain: %v", found)
	}
	if found := firstBreak(t, eventstore.ChainOptions{Dense: true, Midway: true, After: 30}, events[30:]); found != nil {
		t.Errorf("an intact chain from the middle: %v", found)
	}

	first, second := eventstore.NewChain(dense), eventstore.NewChain(eventstore.ChainOptions{Dense: true, After: 30})
	for _, e := range events[:30] {
		if err := first.Check(e); err != nil {
			t.Fatal(err)
		}
		revision, hash, _ := first.Head(e.Stream)
		second.Seed(e.Stream, revision, hash)
	}
	for _, e := range events[30:] {
		if err := second.Check(e); err != nil {
			t.Errorf("a seeded chain: %v", err)
		}
	}
	if first.Count() != 30 || first.Streams() != 4 || first.Position() != 30 {
		t.Errorf("Count, Streams, Position = %d, %d, %d, want 30, 4, 30", first.Count(), first.Streams(), first.Position())
	}
}

func TestChainBreaksAreToldApart(t *testing.T) {
	const at = 20 // the event tampered with; its stream goes on at 24
	for _, c := range []struct {
		name   string
		tamper func(t *testing.T, events []eventstore.Event) []eventstore.Event
		kind   eventstore.BreakKind
		where  eventstore.Position
	}{
		{"a byte of the record changed", func(t *testing.T, events []eventstore.Event) []eventstore.Event {
			events[at].Record = bytes.Replace(events[at].Record, []byte("agents:read"), []byte("admin:orgs_"), 1)
			return events
		}, eventstore.BreakAltered, at + 1},
		{"record and hash changed", func(t *testing.T, events []eventstore.Event) []eventstore.Event {
			reseal(t, &events[at], func(r *eventstore.Record) { r.Data = []byte(`{}`) })
			return events
		}, eventstore.BreakLink, at + 5},
		{"bytes that are no record", func(t *testing.T, events []eventstore.Event) []eventstore.Event {
			events[at].Record = []byte(`{}`)
			events[at].Hash = eventstore.HashOf(events[at].Record)
			return events
		}, eventstore.BreakMalformed, at + 1},
		{"the type column changed", func(t *testing.T, events []eventstore.Event) []eventstore.Event {
			events[at].Type = "token.revoked"
			return events
		}, eventstore.BreakColumn, at + 1},
		{"the stream column changed", func(t *testing.T, events []eventstore.Event) []eventstore.Event {
			events[at].Stream += "x"
			return events
		}, eventstore.BreakColumn, at + 1},
		{"the revision column changed", func(t *testing.T, events []eventstore.Event) []eventstore.Event {
			events[at].Revision++
			return events
		}, eventstore.BreakColumn, at + 1},
		{"the id column changed", func(t *testing.T, events []eventstore.Event) []eventstore.Event {
			events[at].ID = uuid.New()
			return events
		}, eventstore.BreakColumn, at + 1},
		{"the organization column changed", func(t *testing.T, events []eventstore.Event) []eventstore.Event {
			events[at].Organization = uuid.Nil
			return events
		}, eventstore.BreakColumn, at + 1},
		{"the time column changed", func(t *testing.T, events []eventstore.Event) []eventstore.Event {
			events[at].RecordedAt = events[at].RecordedAt.Add(time.Microsecond)
			return events
		}, eventstore.BreakColumn, at + 1},
		{"an event removed", func(t *testing.T, events []eventstore.Event) []eventstore.Event {
			return append(events[:at], events[at+1:]...)
		}, eventstore.BreakGap, at + 2},
		{"an event removed and positions closed up", func(t *testing.T, events []eventstore.Event) []eventstore.Event {
			events = append(events[:at], events[at+1:]...)
			for i := range events {
				events[i].Position = eventstore.Position(i + 1)
			}
			return events
		}, eventstore.BreakMissing, at + 4},
		{"an event stored twice", func(t *testing.T, events []eventstore.Event) []eventstore.Event {
			again := events[at]
			again.Position = at + 2
			events[at+1] = again
			return events
		}, eventstore.BreakRepeated, at + 2},
		{"two events of a stream swapped", func(t *testing.T, events []eventstore.Event) []eventstore.Event {
			a, b := &events[at], &events[at+4]
			*a, *b = *b, *a
			a.Position, b.Position = b.Position, a.Position
			return events
		}, eventstore.BreakMissing, at + 1},
		{"an event inserted", func(t *testing.T, events []eventstore.Event) []eventstore.Event {
			forged := events[at]
			reseal(t, &forged, func(r *eventstore.Record) { r.Revision, r.Prev = 6, events[at].Hash })
			forged.Revision, forged.Position = 6, at+2
			events[at+1] = forged
			return events
		}, eventstore.BreakRepeated, at + 5},
		{"a position repeated", func(t *testing.T, events []eventstore.Event) []eventstore.Event {
			events[at].Position--
			return events
		}, eventstore.BreakOrder, at},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := firstBreak(t, eventstore.ChainOptions{Dense: true}, c.tamper(t, history(t, 60, 4)))
			if found == nil || found.Kind != c.kind || found.Position != c.where {
				t.Errorf("found %v, want %s at %d", found, c.kind, c.where)
			}
		})
	}
}

func BenchmarkChain(b *testing.B) {
	events := history(b, 20_000, 2_000)
	report := func(b *testing.B) {
		b.ReportMetric(float64(b.N)*float64(len(events))/b.Elapsed().Seconds(), "events/s")
	}
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			chain := eventstore.NewChain(eventstore.ChainOptions{Dense: true})
			for i := range events {
				if err := chain.Check(events[i]); err != nil {
					b.Fatal(err)
				}
			}
		}
		report(b)
	})
	b.Run("sha256 alone", func(b *testing.B) {
		for b.Loop() {
			for i := range events {
				if eventstore.HashOf(events[i].Record) != events[i].Hash {
					b.Fatal("hash")
				}
			}
		}
		report(b)
	})
}

// Whatever is not a record still says which event it was, where it can.
func TestReadNamesWhatIsBroken(t *testing.T) {
	var inspector eventstore.Inspector
	record, hash, err := eventstore.Seal(draft(), "agent-1", 7, eventstore.Hash{1})
	if err != nil {
		t.Fatal(err)
	}
	whole, _ := inspector.Read(record, 3)
	if whole.ID != draft().ID || whole.Stream != "agent-1" || whole.Revision != 7 || whole.Position != 3 || whole.Hash != hash {
		t.Errorf("read %+v", whole)
	}
	for name, record := range map[string][]byte{"cut off": record[:len(record)-1], "no object": append(bytes.Clone(record), 'x')} {
		e, reading := inspector.Read(record, 3)
		var found *eventstore.Break
		if err := eventstore.NewChain(eventstore.ChainOptions{Midway: true}).Follow(e, reading); !errors.As(err, &found) || found.Kind != eventstore.BreakMalformed || found.EventID != whole.ID {
			t.Errorf("%s: %v, want %s of %s", name, err, eventstore.BreakMalformed, whole.ID)
		}
	}
	if e, _ := inspector.Read([]byte("what is this?"), 3); e.ID != uuid.Nil || e.Stream != "" {
		t.Errorf("read %+v of no record", e)
	}
}
