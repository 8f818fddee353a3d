package move

import (
	"context"
	"fmt"

	"github.com/sentryagent/agentidp/eventstore"
)

// Bounds of one append of a copy: well below what any engine takes at once.
const (
	maxRunEvents = 128
	maxRunBytes  = 512 << 10
)

// maxChained bounds the streams whose newest events are remembered, at some 80
// bytes each.
const maxChained = 1 << 16

// orderedAppender is an engine that keeps the order of appends without being
// waited for after each.
type orderedAppender interface {
	AppendInOrder(context.Context, []eventstore.StreamAppend) ([]eventstore.Appended, error)
}

// copyWriter appends events of the source to the target, in their order. It
// writes nothing that would not be sealed into the very same bytes: the record is
// what Seal makes of the draft in it (Decode accepts nothing else), and the chain
// makes sure that it names the revision and the predecessor that the target has.
type copyWriter struct {
	to    eventstore.Store
	dense bool // the positions of the source
	chain *eventstore.Chain
	begun bool // something has been appended
}

func newCopyWriter(to eventstore.Store, dense bool, at eventstore.Position) *copyWriter {
	w := &copyWriter{to: to, dense: dense}
	w.forget(at)
	return w
}

func (w *copyWriter) forget(at eventstore.Position) {
	w.chain = eventstore.NewChain(eventstore.ChainOptions{After: at, Dense: w.dense, Midway: true})
}

// meet finds out where the streams of events stand in the target before them.
func (w *copyWriter) meet(ctx context.Context, events []eventstore.Event) error {
	if w.chain.Streams() > maxChained {
		w.forget(w.chain.Position())
	}
	for i := range events {
		stream := events[i].Stream
		if _, _, known := w.chain.Head(stream); known {
			continue
		}
		before := eventstore.Event{Revision: -1}
		if revision := events[i].Revision; revision > 0 {
			// Not its newest: that may be of an append of a copy that was killed,
			// which came through after the ledgers had been compared.
			for e, err := range w.to.ReadStream(ctx, stream, revision-1, eventstore.Backwards) {
				if err != nil {
					return fmt.Errorf("read the target: %w", err)
				}
				before = e
				break
			}
		}
		w.chain.Seed(stream, before.Revision, before.Hash)
	}
	return nil
}

// copyRun is events that are next to each other in the ledger and in a stream.
type copyRun struct {
	events []eventstore.Event
	drafts []eventstore.Draft
	bytes  int
}

// runs checks events that have been met and puts them together for appending. The
// error is that of the first event that does not hold; the runs are those before it.
func (w *copyWriter) runs(events []eventstore.Event) (runs []copyRun, err error) {
	for _, e := range events {
		if err := w.chain.Check(e); err != nil {
			return runs, fmt.Errorf("the source is broken, the copy ends before it: %w", err)
		}
		record, err := e.Decode()
		if err != nil {
			return runs, fmt.Errorf("event %s, revision %d of %s: %w", e.ID, e.Revision, e.Stream, err)
		}
		last := len(runs) - 1
		if last < 0 || runs[last].events[0].Stream != e.Stream ||
			len(runs[last].events) == maxRunEvents || runs[last].bytes+len(e.Record) > maxRunBytes {
			runs, last = append(runs, copyRun{}), last+1
		}
		r := &runs[last]
		r.events, r.drafts, r.bytes = append(r.events, e), append(r.drafts, record.Draft), r.bytes+len(e.Record)
	}
	return runs, nil
}

// append stores runs, and returns those that have not been.
func (w *copyWriter) append(ctx context.Context, runs []copyRun) ([]copyRun, error) {
	for len(runs) > 0 {
		done, refused := w.appendSome(ctx, runs)
		for _, appended := range done {
			if err := runs[0].confirm(appended); err != nil {
				return runs, err
			}
			runs = runs[1:]
		}
		w.begun = w.begun || len(done) > 0
		if refused == nil {
			continue
		}
		late, err := w.late(ctx, &runs[0], refused)
		if err != nil {
			return runs, err
		}
		if late == 0 {
			return runs, refusal(runs, refused)
		}
		runs[0].events, runs[0].drafts = runs[0].events[late:], runs[0].drafts[late:]
	}
	return nil, nil
}

// appendSome appends the first of the runs, or many. What is first of all goes
// alone: it waits for the end of what a copy that was killed has under way.
func (w *copyWriter) appendSome(ctx context.Context, runs []copyRun) (done []eventstore.Appended, err error) {
	if engine, ordered := w.to.(orderedAppender); ordered && w.begun {
		appends := make([]eventstore.StreamAppend, len(runs))
		for i := range runs {
			appends[i] = runs[i].append()
		}
		return engine.AppendInOrder(ctx, appends)
	}
	a := runs[0].append()
	appended, err := w.to.Append(ctx, a.Stream, a.Expected, a.Events...)
	if err != nil {
		return nil, err
	}
	return []eventstore.Appended{appended}, nil
}

// late is how many events of a run, but not all, are there already, although it
// was refused: a copy that was killed had other runs.
func (w *copyWriter) late(ctx context.Context, r *copyRun, refused error) (n int, err error) {
	if !taken(refused) {
		return 0, nil
	}
	for e, err := range w.to.ReadStream(ctx, r.events[0].Stream, r.events[0].Revision, eventstore.Forwards) {
		if err != nil {
			return 0, fmt.Errorf("read the target: %w", err)
		}
		if e.Hash != r.events[n].Hash {
			return 0, nil
		}
		if n++; n == len(r.events) {
			return 0, nil
		}
	}
	return n, nil
}

func (r *copyRun) append() eventstore.StreamAppend {
	return eventstore.StreamAppend{Stream: r.events[0].Stream, Expected: eventstore.Exactly(r.events[0].Revision - 1), Events: r.drafts}
}
