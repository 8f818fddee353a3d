package esdb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
	"github.com/sentryagent/agentidp/internal/wait"
)

// check says what is wrong with an append whatever the ledger holds.
func (s *Store) check(stream string, events []eventstore.Draft) error {
	if len(s.options.Prefix+stream) > 0 && (s.options.Prefix + stream)[0] == '$' {
		return fmt.Errorf("%w: streams of EventStoreDB's own begin with $, got %.40q", eventstore.ErrInvalidDraft, stream)
	}
	if isBarrier(stream) {
		return fmt.Errorf("%w: the stream %q is no part of the ledger", eventstore.ErrInvalidDraft, stream)
	}
	return eventstore.CheckDrafts(stream, events)
}

// write brings an append to its end. A write that has met a lost connection, a
// change of leader or an event of another node is decided again on the stream as
// it is then: what had been stored before the answer was lost is found there.
func (s *Store) write(stream string, expected eventstore.ExpectedRevision, drafts []eventstore.Draft) (eventstore.Appended, error) {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), s.options.Timeout) // not the store's: Close waits
	defer cancel()
	for fresh := false; ; fresh = true {
		d, err := s.attempt(ctx, stream, expected, drafts, fresh)
		if err == nil {
			s.heads.set(stream, d.at)
			s.index.add(d.rows...)
			seen := eventstore.AppendObservation{Events: len(d.rows)}
			if n := len(d.rows); n > 0 {
				newest := d.rows[n-1].Position
				s.tail.appended(newest)
				s.Expect(newest)
				seen.Position = uint64(newest)
			}
			s.observe(seen, begin)
			return d.result, d.refused
		}
		s.heads.forget(stream)
		if s.again(ctx, err) {
			continue
		}
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: no answer within %s: %w", eventstore.ErrUnavailable, s.options.Timeout, err)
		}
		err = translate(context.Background(), "append", err)
		s.observe(eventstore.AppendObservation{Err: err}, begin)
		return eventstore.Appended{}, err
	}
}

// again decides whether another attempt may do. A connection that does not
// answer in time is not to be trusted with it.
func (s *Store) again(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		s.supervisor.drop(err)
		return false
	}
	switch {
	case errors.Is(err, errStale):
		return true
	case errors.Is(err, eventstore.ErrUnavailable):
		return false // there is no connection to be had
	}
	switch wire.VerdictOf(err) {
	case wire.Conflict:
		return true
	case wire.NotLeader:
		s.lease.lost()
		_ = wait.For(ctx, s.options.MinBackoff)
		return true
	case wire.Passing:
		_ = wait.For(ctx, s.options.MinBackoff)
		return true
	case wire.Broken:
		return true
	}
	return false
}

// observe comes before the caller is told, so that it finds its append counted.
func (s *Store) observe(seen eventstore.AppendObservation, begin time.Time) {
	if s.options.Observe == nil {
		return
	}
	seen.Batch, seen.Duration = 1, time.Since(begin)
	s.options.Observe(seen)
}

// attempt decides about an append and writes what it has to. What it remembers of the
// stream may be wrong unless fresh is set; the server tells.
func (s *Store) attempt(
	ctx context.Context, stream string, expected eventstore.ExpectedRevision, drafts []eventstore.Draft, fresh bool,
) (*decision, error) {
	c, err := s.supervisor.acquire(ctx)
	if err != nil {
		return nil, err
	}
	d := &decision{store: s, ctx: ctx, conn: c, stream: stream, expected: expected, drafts: drafts, fresh: fresh}
	if err := d.begin(); err != nil {
		return nil, err
	}
	base := d.at.revision
	if err := d.decide(); err != nil || len(d.rows) == 0 {
		return d, err
	}
	sent, looked := time.Now(), s.tail.glimpse().looked
	written, err := c.Append(ctx, s.options.Prefix+stream, base, d.proposals)
	if err != nil {
		return nil, named(stream, err)
	}
	if !fresh && written.Commit > looked.Commit { // no repetition, which a node answers by itself
		s.lease.proven(c, sent)
	}
	if want := base + int64(len(d.rows)); written.Revision != want {
		// It was deleted after it was looked at. What was written is no event that the
		// stream could have, and verification names it as such.
		return nil, interfered(eventstore.HiddenEvents, stream, fmt.Sprintf("was deleted while it was written to: "+
			"the server put at revision %d what belongs at %d. See docs/runbooks/broken-chain.md", written.Revision, want))
	}
	return d, d.place(written.Position)
}
