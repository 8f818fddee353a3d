package verify

import (
	"context"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// trail is what the diagnosing pass gathers: how the events and the log's
// entries differ. It holds a hash of every entry in memory.
type trail struct {
	*Evidence
	logged    []eventstore.Hash
	known     map[eventstore.Hash]int64 // index of an entry
	present   []bool                    // whether the event of an entry is there
	authentic int64                     // entries up to here have a root that was signed

	events  int64               // how many there are
	last    eventstore.Position // of the last of them
	agreed  int64               // the events up to here have a root that was signed
	against []Checkpoint        // those that the events contradict or fall short of

	diverged *place     // first event that is not the one logged there; nil: none
	survivor [2]int64   // first event from there on that is logged: where it is, and where it should be; -1
	lastKnow int64      // last event that is logged
	unknown  int64      // events from there on, before the last that is logged, that are not logged
	strays   int64      // events from there on, within the length of the log, that are not logged
	stream   string     // of the first of them
	streams  bool       // whether they are of more than one
	latest   time.Time  // newest time among events from there on
	chain    *chainNote // first thing that the chains say, nil: nothing
	links    bool       // whether they say anything that is not of positions alone
}

// chainNote is a break, and what would have come instead.
type chainNote struct {
	place
	found *eventstore.Break
	next  int64 // revision that should have come in the stream
}

func (ev *Evidence) gather(ctx context.Context) (*trail, error) {
	t := &trail{Evidence: ev, known: make(map[eventstore.Hash]int64, ev.Size), survivor: [2]int64{-1, -1}, lastKnow: -1}
	if err := t.readLog(ctx); err != nil {
		return nil, err
	}
	return t, t.readEvents(ctx)
}

func (t *trail) readLog(ctx context.Context) error {
	log := t.Evidence.logged(ctx)
	defer log.Close()
	roots := newRoots(t.Checkpoints)
	for {
		entry, ok, err := log.entry()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		t.known[entry] = int64(len(t.logged))
		t.logged = append(t.logged, entry)
		roots.add(entry)
	}
	t.present = make([]bool, len(t.logged))
	t.authentic = roots.agreed
	return nil
}

func (t *trail) readEvents(ctx context.Context) error {
	chain := eventstore.NewChain(t.Options)
	roots := newRoots(t.Checkpoints)
	var unknown int64
	for batch, err := range t.Evidence.Events(ctx) {
		if err != nil {
			return err
		}
		for i := range batch {
			e := &batch[i]
			here := place{t.events, e.Event}
			t.events++
			head, _, known := chain.Head(e.Stream)
			if !known {
				head = -1
			}
			if found := t.follow(chain, e); found != nil {
				t.links = t.links || found.Kind != eventstore.BreakGap && found.Kind != eventstore.BreakOrder
				if t.chain == nil {
					t.chain = &chainNote{here, found, head + 1}
				}
			}
			roots.add(e.Reading.Hash)
			unknown = t.compare(here, e.Reading.Hash, unknown)
		}
		if t.Progress != nil {
			t.Progress(0)
		}
	}
	t.last = chain.Position()
	t.agreed = roots.agreed
	t.against = slices.Concat(roots.against, roots.due)
	return nil
}

// compare notes how an event stands to the log; unknown counts events from
// where they diverge that the log does not have.
func (t *trail) compare(here place, hash eventstore.Hash, unknown int64) int64 {
	length := int64(len(t.logged))
	index, known := t.known[hash]
	if known {
		t.present[index] = true
	}
	if t.diverged == nil {
		if here.index >= length || index == here.index && known {
			return 0
		}
		t.diverged = &here
	}
	if at := here.event.RecordedAt; at.After(t.latest) {
		t.latest = at
	}
	if known {
		if t.survivor[0] < 0 {
			t.survivor = [2]int64{here.index, index}
		}
		t.lastKnow, t.unknown = here.index, unknown
		return unknown
	}
	if here.index < length {
		if t.strays == 0 {
			t.stream = here.event.Stream
		}
		t.strays++
		t.streams = t.streams || here.event.Stream != t.stream
	}
	return unknown + 1
}

// roots compares a growing tree with checkpoints.
type roots struct {
	tree    transparency.Tree
	due     []Checkpoint
	agreed  int64 // size of the largest that it agreed with
	against []Checkpoint
}

func newRoots(checkpoints []Checkpoint) *roots {
	r := &roots{due: checkpoints}
	r.meet()
	return r
}

func (r *roots) add(entry eventstore.Hash) {
	if len(r.due) > 0 {
		r.tree.Append(entry)
		r.meet()
	}
}

func (r *roots) meet() {
	var root tlog.Hash
	for first := true; len(r.due) > 0 && r.due[0].Size <= r.tree.Size(); r.due = r.due[1:] {
		if first {
			root, first = r.tree.Root(), false
		}
		if r.due[0].Root == root {
			r.agreed = r.due[0].Size
		} else {
			r.against = append(r.against, r.due[0])
		}
	}
}

// find looks for the first event from an index on that is as wanted.
func (ev *Evidence) find(ctx context.Context, from int64, wanted func(*eventstore.Event) bool) (*place, error) {
	var index int64
	for batch, err := range ev.Events(ctx) {
		if err != nil {
			return nil, err
		}
		for i := range batch {
			if index >= from && wanted(&batch[i].Event) {
				return &place{index, batch[i].Event}, nil
			}
			index++
		}
	}
	return nil, nil
}
