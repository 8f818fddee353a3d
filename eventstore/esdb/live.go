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

// liveQueue is how many messages are kept between the wire and the tail. The
// server waits for nobody: it drops a subscription whose reader is some thirty
// messages behind.
const liveQueue = 8192

// soon is how long a subscription lives at least for the next to be made without
// a pause.
const soon = 20 * time.Millisecond

var errOverflow = errors.New("more came than could be taken in")

// errGone: a subscription was made at a record that is not there any more. It may
// have left out the one after it.
var errGone = errors.New("the record that the subscription began at is gone")

// follow keeps the tail up to date until ctx ends. That a subscription ends is a
// part of its life: the tail goes on by pages of history at once, and by another
// subscription. It is news only when that does not bring it on.
func (s *Store) follow(ctx context.Context) {
	never := func(State) bool { return false }
	for failures := 0; ctx.Err() == nil; {
		c, err := s.supervisor.await(ctx, never)
		if err != nil {
			return
		}
		begin, caughtUp := time.Now(), false
		if !s.tail.glimpse().seeded {
			err = s.seed(ctx, c)
		}
		if err == nil {
			caughtUp, err = s.live(ctx, c)
		}
		switch {
		case ctx.Err() != nil || dead(c):
			continue // to the next conn
		case caughtUp:
			failures = 0
		default:
			failures++
		}
		if failures == 0 || failures == 1 && !wire.VerdictOf(err).Final() {
			s.options.Logger.Debug("the live subscription to the ledger ended; it is made again", "reason", err)
			if time.Since(begin) < soon {
				_ = wait.For(ctx, s.options.MinBackoff)
			}
			continue
		}
		s.tail.fail(err)
		s.options.Logger.Warn("the ledger cannot be followed; another attempt follows", "error", err)
		_ = wait.For(ctx, s.options.backoff(failures))
	}
}

// live brings the tail to the end of the log and then what comes after it, until
// the subscription ends. caughtUp is whether it came so far.
func (s *Store) live(ctx context.Context, c wire.Conn) (caughtUp bool, err error) {
	last, err := s.forward(ctx, c)
	if err != nil {
		return false, err
	}
	sub, err := c.Follow(ctx, last, s.options.Prefix)
	if err != nil {
		return false, err
	}
	defer context.AfterFunc(ctx, sub.Close)()
	defer sub.Close()
	messages, ended := queue(sub)
	first, ok := <-messages // the server has looked for the record by now
	if !ok {
		return false, *ended
	}
	if err := s.isThere(ctx, c, last); err != nil {
		return false, err
	}
	s.tail.fail(nil)
	for m, ok := first, true; ok; m, ok = <-messages {
		if m.Kind == wire.Appeared {
			s.take(&m.Record)
		}
	}
	return true, *ended
}

// take adds a record to the tail. Checkpoints are no places to go on from: they
// may name what is gone, and what is not there yet.
func (s *Store) take(records ...*wire.Record) {
	var events []eventstore.Event
	for _, r := range records {
		if e, ok := s.event(r); ok {
			events = append(events, e)
		} else {
			s.notice(r)
		}
	}
	s.index.add(events...)
	s.tail.see(records[len(records)-1].Position, events...)
}

// forward reads on from the record that was looked at last, that one included,
// to the end, and returns the last record there is.
func (s *Store) forward(ctx context.Context, c wire.Conn) (wire.Position, error) {
	for count := firstPage; ; count = min(8*count, largestPage) {
		last := s.tail.glimpse().looked
		page, err := c.ReadAll(ctx, last, eventstore.Forwards, count)
		if err != nil {
			return last, err
		}
		if len(page) == 0 {
			return last, nil
		}
		records := make([]*wire.Record, len(page))
		for i := range page {
			records[i] = &page[i]
		}
		s.take(records...)
		if len(page) < count {
			return page[len(page)-1].Position, nil
		}
	}
}

// isThere reports that no record has been taken out from under a subscription
// that was made at it: what is there now was there then.
func (s *Store) isThere(ctx context.Context, c wire.Conn, at wire.Position) error {
	if at == wire.Start {
		return nil
	}
	page, err := c.ReadAll(ctx, at, eventstore.Forwards, 1)
	if err == nil && (len(page) == 0 || page[0].Position.Commit != at.Commit) {
		err = fmt.Errorf("%w: %d", errGone, at.Commit)
	}
	return err
}

// queue takes messages off the wire as they come. When they end, or come faster
// than they are taken out, ended says why, once messages is closed.
func queue(sub wire.Subscription) (messages <-chan wire.Message, ended *error) {
	queued, ended := make(chan wire.Message, liveQueue), new(error)
	go func() {
		defer close(queued)
		for {
			m, err := sub.Receive()
			if err != nil {
				*ended = err
				return
			}
			if m.Kind == wire.Checkpoint && len(queued) > 0 {
				continue // it says nothing that what waits does not
			}
			select {
			case queued <- m:
			default:
				*ended = errOverflow
				sub.Close()
				return
			}
		}
	}()
	return queued, ended
}
