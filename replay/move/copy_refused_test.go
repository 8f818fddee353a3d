package move_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/eventstore/storetest"
	"github.com/sentryagent/agentidp/replay/move"
)

func TestATargetThatIsNoCopyIsRefused(t *testing.T) {
	t.Parallel()
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from := memory.New()
			fill(t, from, 100)
			source := storetest.All(t, from)
			foreign := storetest.NewDraft("a.foreign")

			to := open(t)
			mustAppend(t, to, "foreign", foreign)
			_, err := (&move.Copier{From: from, To: to}).Copy(t.Context())
			wantDifference(t, err, source[0].ID)
			if got := storetest.All(t, to); len(got) != 1 {
				t.Errorf("%d events were written to a target that is no copy", len(got)-1)
			}

			to = open(t)
			if _, err := (&move.Copier{From: from, To: to}).Copy(t.Context()); err != nil {
				t.Fatal(err)
			}
			mustAppend(t, to, "foreign", foreign)
			_, err = (&move.Copier{From: from, To: to}).Copy(t.Context())
			wantDifference(t, err, foreign.ID)
			fill(t, from, 1) // even when the source has grown by as much
			_, err = (&move.Copier{From: from, To: to}).Copy(t.Context())
			if next := storetest.All(t, from)[len(source)]; err != nil {
				wantDifference(t, err, next.ID)
			} else {
				t.Error("a foreign event at the end of the target was accepted")
			}
		})
	}
}

// intruded is a target into which somebody writes during the copy.
type intruded struct {
	eventstore.Store
	t      *testing.T
	before string // stream
	done   *bool
}

func (s intruded) Append(ctx context.Context, stream string, expected eventstore.ExpectedRevision, events ...eventstore.Draft) (eventstore.Appended, error) {
	if stream == s.before && !*s.done {
		*s.done = true
		mustAppend(s.t, s.Store, stream, storetest.NewDraft("a.intrusion"))
	}
	return s.Store.Append(ctx, stream, expected, events...)
}

func TestSomebodyWhoWritesToTheTargetIsNoticed(t *testing.T) {
	t.Parallel()
	from := memory.New()
	fill(t, from, 200)
	e := storetest.All(t, from)[150]
	_, err := (&move.Copier{From: from, To: intruded{memory.New(), t, e.Stream, new(bool)}}).Copy(t.Context())
	var difference *move.Difference
	if !errors.As(err, &difference) || difference.Stream != e.Stream {
		t.Errorf("Copy = %v, want a difference in stream %s", err, e.Stream)
	}
}

func TestABrokenSourceStopsTheCopyBeforeTheBreak(t *testing.T) {
	t.Parallel()
	reseal := func(e *eventstore.Event, stream string, revision int64, prev eventstore.Hash) {
		r, err := e.Decode()
		if err != nil {
			t.Error(err)
			return
		}
		e.Record, e.Hash, _ = eventstore.Seal(r.Draft, stream, revision, prev)
	}
	for kind, alter := range map[eventstore.BreakKind]func(*eventstore.Event){
		eventstore.BreakAltered: func(e *eventstore.Event) { e.Record = append([]byte{' '}, e.Record...) },
		eventstore.BreakMalformed: func(e *eventstore.Event) {
			e.Record = append([]byte{' '}, e.Record...)
			e.Hash = eventstore.HashOf(e.Record)
		},
		eventstore.BreakColumn:  func(e *eventstore.Event) { e.Type = "a.nother" },
		eventstore.BreakLink:    func(e *eventstore.Event) { reseal(e, e.Stream, e.Revision, eventstore.Hash{1}) },
		eventstore.BreakMissing: func(e *eventstore.Event) { e.Revision++; reseal(e, e.Stream, e.Revision, eventstore.Hash{}) },
	} {
		t.Run(string(kind), func(t *testing.T) {
			from, to := memory.New(), memory.New()
			fill(t, from, 200)
			const at = 120
			victim := storetest.All(t, from)[at]
			source := tampered{from, func(e *eventstore.Event) {
				if e.ID == victim.ID {
					alter(e)
				}
			}}
			report, err := (&move.Copier{From: source, To: to}).Copy(t.Context())
			var broken *eventstore.Break
			if !errors.As(err, &broken) || broken.Kind != kind || broken.EventID != victim.ID || report.Proven {
				t.Errorf("Copy = %+v, %v, want %s of event %s", report, err, kind, victim.ID)
			}
			if got := storetest.Verify(t, to); len(got) != at {
				t.Errorf("the target has %d events, want the %d before the break", len(got), at)
			}
		})
	}
}

func mustAppend(t *testing.T, to eventstore.Store, stream string, event eventstore.Draft) {
	t.Helper()
	if _, err := to.Append(t.Context(), stream, eventstore.Any(), event); err != nil {
		t.Fatal(err)
	}
}

// rewritten is a ledger of which an event reads otherwise than it was sealed.
type rewritten struct {
	eventstore.Store
	alter func(*eventstore.Event)
}

func (s rewritten) ReadAll(ctx context.Context, after eventstore.Position, filter eventstore.Filter) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		for e, err := range s.Store.ReadAll(ctx, after, filter) {
			s.alter(&e)
			if !yield(e, err) {
				return
			}
		}
	}
}

// What was changed after it was copied is found by every later proof, on either
// side, also where the chain holds.
func TestWhatWasRewrittenIsFoundByTheProof(t *testing.T) {
	t.Parallel()
	from, to := memory.New(), memory.New()
	fill(t, from, 200)
	if _, err := (&move.Copier{From: from, To: to}).Copy(t.Context()); err != nil {
		t.Fatal(err)
	}
	source := storetest.All(t, from)
	victim := source[len(source)-1] // nothing is chained to it
	for name, alter := range map[string]func(*eventstore.Event){
		"another fact": func(e *eventstore.Event) {
			r, err := e.Decode()
			if err != nil {
				t.Error(err)
				return
			}
			r.Data = []byte(`{"forged":true}`)
			e.Record, e.Hash, _ = eventstore.Seal(r.Draft, r.Stream, r.Revision, r.Prev)
		},
		"another record":       func(e *eventstore.Event) { e.Record = append([]byte{' '}, e.Record...) },
		"another hash":         func(e *eventstore.Event) { e.Hash[0]++ },
		"another organization": func(e *eventstore.Event) { e.Organization[0]++ },
		"another stream":       func(e *eventstore.Event) { e.Stream += "x" },
	} {
		once := func(e *eventstore.Event) {
			if e.ID == victim.ID {
				alter(e)
			}
		}
		for side, copier := range map[string]move.Copier{
			"source": {From: rewritten{from, once}, To: to},
			"target": {From: from, To: rewritten{to, once}},
		} {
			report, err := copier.Copy(t.Context())
			var difference *move.Difference
			var broken *eventstore.Break
			named := errors.As(err, &difference) && difference.EventID == victim.ID || errors.As(err, &broken) && broken.EventID == victim.ID
			if !named || report.Proven || report.Events != int64(len(source)-1) {
				t.Errorf("%s in the %s: Copy = %+v, %v, want event %s named", name, side, report, err, victim.ID)
			}
		}
	}
}

// away is a ledger that cannot be reached.
type away struct{ eventstore.Store }

func (away) Head(context.Context) (eventstore.Position, error) { return 0, eventstore.ErrUnavailable }

func TestACopyGivesUpWhenALedgerStaysAway(t *testing.T) {
	t.Parallel()
	report, err := (&move.Copier{From: away{memory.New()}, To: memory.New(), Patience: 10 * time.Millisecond}).Copy(t.Context())
	if !errors.Is(err, eventstore.ErrUnavailable) || report.Proven || report.Complete {
		t.Errorf("Copy = %+v, %v, want that the source is unavailable", report, err)
	}
}
