package projections

import (
	"context"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
)

const (
	// chunkSize is how many events travel together.
	chunkSize = 500
	// writeSize is from how many events on a derivation writes a transaction.
	writeSize = 4000
	// idleChunks is after how many chunks it does, however few events it wants.
	idleChunks = 64
	// inboxSize is how far the others may be ahead of the slowest, in chunks.
	inboxSize = 8
)

// chunk is a stretch of the ledger on its way from the store to derivations.
type chunk struct {
	raw     []eventstore.Event
	events  []follow.Event // raw, decoded
	errs    []error        // nil, or why an event could not be decoded
	through eventstore.Position
	decoded chan struct{} // closed when events and errs are there
}

// pass brings derivations to a position of the ledger. They share one read of
// it, which is decoded on all cores, and write side by side. A derivation that
// fails has that as its err and does not disturb the others. What is in memory
// is bounded, however long the ledger is.
func pass(ctx context.Context, store eventstore.Store, list []*derivation, through eventstore.Position) error {
	facts := slices.ContainsFunc(list, func(d *derivation) bool { return !d.projection.Undecoded })
	group, ctx := errgroup.WithContext(ctx)
	ordered := make(chan *chunk, inboxSize)
	decoding := make(chan *chunk)
	group.Go(func() error {
		defer close(ordered)
		defer close(decoding)
		return readChunks(ctx, store, list, through, func(c *chunk) error {
			for _, to := range []chan *chunk{decoding, ordered} {
				select {
				case to <- c:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	})
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			for c := range decoding {
				c.decode(facts)
			}
			return nil
		})
	}
	inboxes := make([]chan *chunk, len(list))
	for i, d := range list {
		inbox := make(chan *chunk, inboxSize)
		inboxes[i] = inbox
		group.Go(func() error {
			if d.err = d.follow(ctx, inbox); d.err != nil {
				for range inbox { // so that nobody waits for us
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer func() {
			for _, inbox := range inboxes {
				close(inbox)
			}
		}()
		for c := range ordered {
			<-c.decoded
			for _, inbox := range inboxes {
				inbox <- c
			}
		}
		return nil
	})
	return group.Wait()
}

// readChunks reads what any of the derivations lacks up to a position, and
// emits it in order. The last chunk ends at the position.
func readChunks(ctx context.Context, store eventstore.Store, list []*derivation, through eventstore.Position, emit func(*chunk) error) error {
	from, all := list[0].position, false
	var types []domain.Type
	for _, d := range list {
		from = min(from, d.position)
		all = all || d.projection.Types == nil
		types = append(types, d.projection.Types...)
	}
	if all {
		types = nil
	}
	slices.Sort(types)
	types = slices.Compact(types)

	next := func() *chunk {
		return &chunk{raw: make([]eventstore.Event, 0, chunkSize), decoded: make(chan struct{})}
	}
	c := next()
	for e, err := range store.ReadAll(ctx, from, follow.Filter(types)) {
		if err != nil {
			return err
		}
		if e.Position > through {
			break
		}
		c.raw = append(c.raw, e)
		if len(c.raw) == chunkSize {
			c.through = e.Position
			if err := emit(c); err != nil {
				return err
			}
			c = next()
		}
	}
	c.through = through
	return emit(c)
}

// decode decodes the events, if somebody needs the facts.
func (c *chunk) decode(facts bool) {
	defer close(c.decoded)
	c.events, c.errs = make([]follow.Event, len(c.raw)), make([]error, len(c.raw))
	for i := 0; facts && i < len(c.raw); i++ {
		c.events[i], c.errs[i] = follow.Decode(c.raw[i])
	}
}

// follow writes what comes into the inbox until that is closed.
func (d *derivation) follow(ctx context.Context, inbox <-chan *chunk) error {
	pending, chunks := make([]follow.Event, 0, writeSize+chunkSize), 0
	to := d.position
	flush := func() error {
		if to <= d.position {
			return nil
		}
		err := d.write(ctx, pending, to)
		pending, chunks = pending[:0], 0
		return err
	}
	for c := range inbox {
		for i := range c.raw {
			at := c.raw[i].Position
			if at <= d.position || !d.projection.Wants(domain.Type(c.raw[i].Type)) {
				continue
			}
			event, err := c.events[i], c.errs[i]
			if d.projection.Undecoded {
				event, err = follow.Undecoded(c.raw[i]), nil
			}
			if err != nil {
				if err := flush(); err != nil {
					return err
				}
				return &follow.PoisonError{Position: at, Cause: err}
			}
			pending = append(pending, event)
			to = at
		}
		to = max(to, c.through)
		if chunks++; len(pending) >= writeSize || chunks >= idleChunks {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return flush()
}
