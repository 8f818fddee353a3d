package esdb

import (
	"context"
	"errors"
	"regexp"
	"strings"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/sentryagent/agentidp/eventstore"
)

// Bounds of a subscription: how many events the server looks at before it says
// how far it is.
const searchWindow = 1000

// serverSubscription is a subscription of the library, which ends for good with
// its conn.
type serverSubscription struct {
	library *client.Subscription
	conn    *conn
	ctx     context.Context
	cancel  context.CancelFunc
}

// subscribe follows $all after a position. The server leaves out what does not
// pass the filter, as far as it can: the rest is for the caller to check. A
// position at which no record begins is refused; see badPosition. The
// subscription lives as long as life, and ctx bounds its making.
func (s *Store) subscribe(ctx, life context.Context, c *conn, after client.Position, filter eventstore.Filter) (*serverSubscription, error) {
	life, cancel := context.WithCancel(life)
	made := context.AfterFunc(ctx, cancel)
	options := client.SubscribeToAllOptions{
		From: client.Start{}, Filter: s.serverFilter(filter), MaxSearchWindow: searchWindow, CheckpointInterval: 1,
	}
	if after.Commit > 0 {
		options.From = after
	}
	library, err := call(life, c, func(ctx context.Context, library *client.Client) (*client.Subscription, error) {
		return library.SubscribeToAll(ctx, options)
	})
	if !made() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	go func() {
		select {
		case <-life.Done():
		case <-c.dead:
			cancel()
		}
	}()
	return &serverSubscription{library, c, life, cancel}, nil
}

func (s *serverSubscription) close() { s.cancel() }

// receive waits for what comes. When the connection has broken it sees to its
// being replaced.
func (s *serverSubscription) receive() *client.SubscriptionEvent {
	e := s.library.Recv()
	if dropped := e.SubscriptionDropped; dropped != nil && s.ctx.Err() == nil && classify(dropped.Error) == broken {
		s.conn.retire(dropped.Error)
	}
	return e
}

// serverFilter is what the server can check of a filter: the streams of this
// ledger where it shares the server, else the types of the events.
func (s *Store) serverFilter(filter eventstore.Filter) *client.SubscriptionFilter {
	switch {
	case s.options.Prefix != "":
		return &client.SubscriptionFilter{Type: client.StreamFilterType, Prefixes: []string{s.options.Prefix}}
	case len(filter.Types) == 0:
		return client.ExcludeSystemEventsFilter()
	}
	types := make([]string, len(filter.Types))
	for i, t := range filter.Types {
		types[i] = regexp.QuoteMeta(t)
	}
	return &client.SubscriptionFilter{Type: client.EventFilterType, Regex: "^(" + strings.Join(types, "|") + ")$"}
}

// catchUp reads the ledger from a position up to one that is known to be there.
type catchUp struct {
	store  *Store
	filter eventstore.Filter
	sub    *serverSubscription
	at     eventstore.Position // everything that passes up to here has been returned
	until  eventstore.Position
	skip   eventstore.Position // events up to here are not wanted
	steps  chan step
}

// step is what a catch-up meets: an event that passes, or how far it is.
type step struct {
	event   eventstore.Event
	passes  bool
	through eventstore.Position
	err     error
}

// startCatchUp subscribes after a position. One at which no record begins, as
// nobody was given by this store, costs a read from the beginning, unless it is
// that just before a record.
func (s *Store) startCatchUp(ctx, life context.Context, after, until eventstore.Position, filter eventstore.Filter) (*catchUp, error) {
	var sub *serverSubscription
	err := s.try(ctx, func(c *conn) (err error) {
		from := client.Position{Commit: uint64(after), Prepare: uint64(after)}
		sub, err = s.subscribe(ctx, life, c, from, filter)
		if err != nil && badPosition(err) {
			sub, err = s.subscribe(ctx, life, c, s.before(ctx, c, after+1), filter)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	u := &catchUp{store: s, filter: filter, sub: sub, at: after, until: until, skip: after, steps: make(chan step, 256)}
	go u.pump()
	return u, nil
}

// before is where the record before a position is, zero when that is no position
// of a record.
func (s *Store) before(ctx context.Context, c *conn, p eventstore.Position) client.Position {
	page, err := readAllBackwards(ctx, c, client.Position{Commit: uint64(p), Prepare: uint64(p)}, 1)
	if err != nil || len(page) == 0 {
		s.options.Logger.Warn("the ledger is read from its beginning: no event is at this position", "position", uint64(p-1))
		return client.Position{}
	}
	return page[0].Position
}

func (u *catchUp) close() { u.sub.close() }

// pump turns what the server says into steps until the end is reached.
func (u *catchUp) pump() {
	for {
		st := u.next(u.sub.receive())
		select {
		case <-u.sub.ctx.Done():
			st = step{err: errDropped}
			select {
			case u.steps <- st:
			default:
			}
			close(u.steps)
			return
		case u.steps <- st:
		}
		if st.err != nil || st.through >= u.until {
			close(u.steps)
			return
		}
	}
}

var errDropped = errors.New("the subscription was dropped")

func (u *catchUp) next(e *client.SubscriptionEvent) step {
	switch {
	case e.SubscriptionDropped != nil:
		return step{err: e.SubscriptionDropped.Error}
	case e.CaughtUp != nil:
		// What was there when the subscription was made has been delivered, and
		// until was there.
		return step{through: u.until}
	case e.CheckPointReached != nil:
		return step{through: min(eventstore.Position(e.CheckPointReached.Commit), u.until)}
	case e.EventAppeared != nil:
		r := e.EventAppeared.OriginalEvent()
		event, ok := u.store.event(r)
		ok = ok && event.Position > u.skip && event.Position <= u.until && u.filter.Passes(event)
		return step{event: event, passes: ok, through: min(eventstore.Position(r.Position.Commit), u.until)}
	}
	return step{}
}
