package esdb

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
)

// Bounds of the first look at the ledger's end, which in any case goes on to
// the newest event.
const (
	seedEvents = tailEvents / 4
	seedPages  = 16
)

// seed reads the end of the ledger: backwards to its newest events, or to where a
// barrier says that there was none after the one that it names.
func (s *Store) seed(ctx context.Context, c wire.Conn) error {
	told, err := s.lastBarrier(ctx, c)
	if err != nil {
		return err
	}
	var events []eventstore.Event // newest first
	var low eventstore.Position
	looked, at := wire.Start, wire.End
	var whole bool
	progress := s.progress("the ledger's newest event is looked for behind those of others")
	for n, count := 1, firstPage; ; n, count = n+1, min(4*count, largestPage) {
		page, err := c.ReadAll(ctx, at, eventstore.Backwards, count)
		if err != nil {
			return err
		}
		for i := range page {
			r := &page[i]
			at = r.Position
			if looked == wire.Start {
				looked = at
			}
			if e, ok := s.event(r); ok {
				events = append(events, e)
			}
		}
		progress(eventstore.Position(at.Commit), eventstore.Position(looked.Commit))
		if whole = len(page) < count; whole || len(events) >= seedEvents || len(events) > 0 && n >= seedPages {
			break
		}
		if len(events) == 0 && told != nil && at.Commit <= told.Looked {
			low = told.Newest
			break
		}
	}
	slices.Reverse(events)
	since := time.Time{}
	switch {
	case whole:
	case len(events) == 0:
		since = time.Now()
	default: // a place of the ledger's own
		low, since = events[0].Position, events[0].RecordedAt
		events = events[1:]
	}
	s.index.seed(since)
	s.index.add(events...)
	s.tail.begin(events, low, looked)
	return nil
}

// lastBarrier is what the newest barrier tells, nil where there is none or the
// event that it names is not there.
func (s *Store) lastBarrier(ctx context.Context, c wire.Conn) (*barrier, error) {
	name := s.barrierName()
	page, err := s.page(ctx, c, name, eventstore.End, eventstore.Backwards, 1)
	if wire.VerdictOf(err) == wire.Deleted {
		s.leaveBarrier(name)
		return s.lastBarrier(ctx, c)
	}
	if err != nil || len(page) == 0 {
		return nil, err
	}
	var told barrier
	if json.Unmarshal(page[0].Data, &told) != nil || told.Newest == 0 {
		return nil, nil
	}
	there, err := c.ReadAll(ctx, wire.At(uint64(told.Newest)), eventstore.Forwards, 1)
	switch {
	case wire.VerdictOf(err) == wire.BadPosition, err == nil && len(there) == 0:
		return nil, nil
	case err != nil:
		return nil, err
	}
	if e, ok := s.event(&there[0]); !ok || e.Position != told.Newest {
		return nil, nil
	}
	return &told, nil
}

// progressEvery is how often a long read tells how far it is.
const progressEvery = 10 * time.Second

// longRead is how far a read is.
type longRead struct {
	what   string
	at, of eventstore.Position
}

// Reading is what was read last that may take long: up to where, and how far it
// goes. "" where nothing was.
func (s *Store) Reading() (what string, at, of eventstore.Position) {
	if r := s.reading.Load(); r != nil {
		return r.what, r.at, r.of
	}
	return "", 0, 0
}

// progress tells how far a read is that takes long.
func (s *Store) progress(what string) func(at, of eventstore.Position) {
	last := time.Now()
	return func(at, of eventstore.Position) {
		s.reading.Store(&longRead{what, at, of})
		if time.Since(last) >= progressEvery {
			last = time.Now()
			s.options.Logger.Info(what, "position", uint64(at), "of", uint64(of))
		}
	}
}
