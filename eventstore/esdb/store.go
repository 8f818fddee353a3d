package esdb

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/sentryagent/agentidp/eventstore"
)

// Options tune a [Store]; the zero value is good.
type Options struct {
	// Logger hears of lost and regained connections. Default: discards.
	Logger *slog.Logger
	// Observe is told of each write, by who makes it: it must be quick.
	Observe func(eventstore.AppendObservation)
	// ObserveState is told of each change of [Store.State], by the supervisor.
	ObserveState func(State)
	// Prefix of the names of the ledger's streams on the server, for a server
	// that keeps more than one ledger. It stands in no record. Default: none.
	Prefix string
	// Timeout bounds a write, its repetitions after lost connections included,
	// and an attempt to connect. Default: 5 s.
	Timeout time.Duration
	// MinBackoff and MaxBackoff bound the pauses between attempts to connect.
	// Default: 50 ms and 5 s.
	MinBackoff, MaxBackoff time.Duration
}

// Store is the engine. It implements [eventstore.Store].
type Store struct {
	options    Options
	supervisor *supervisor
	tail       *tail
	index      *index
	heads      *heads
	lanes      *lanes
	ctx        context.Context // ends with the store
	stop       context.CancelFunc
	done       sync.WaitGroup
}

var _ eventstore.Store = (*Store)(nil)

// New returns a store on the server that an esdb:// connection string names
// and starts its goroutines; Close it. It does not wait for the server: while
// that is away, calls return [eventstore.ErrUnavailable].
func New(url string, options Options) (*Store, error) {
	config, err := client.ParseConnectionString(url)
	if err != nil {
		return nil, errors.New("not an EventStoreDB connection string") // err quotes it, and it may hold a password
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Timeout <= 0 {
		options.Timeout = 5 * time.Second
	}
	if options.MinBackoff <= 0 {
		options.MinBackoff = 50 * time.Millisecond
	}
	if options.MaxBackoff <= 0 {
		options.MaxBackoff = 5 * time.Second
	}
	s := &Store{
		options: options, supervisor: newSupervisor(*config, options),
		tail: newTail(), index: newIndex(), heads: newHeads(), lanes: newLanes(),
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.done.Go(func() { s.supervisor.run(s.ctx) })
	s.done.Go(func() { s.follow(s.ctx) })
	return s, nil
}

// State tells how the store stands with its server.
func (s *Store) State() State {
	state, _, _ := s.supervisor.current()
	return state
}

// Close lets the writes under way end, fails the appends that wait with
// [eventstore.ErrUnavailable], ends all subscriptions and gives back the
// connections.
func (s *Store) Close() {
	answer(s.lanes.close(), errClosed)
	s.stop()
	s.done.Wait()
	given := make(chan struct{})
	go func() { s.supervisor.drained.Wait(); close(given) }()
	select {
	case <-given:
	case <-time.After(s.options.Timeout): // see conn.drain
	}
}
