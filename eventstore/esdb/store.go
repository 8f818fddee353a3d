package esdb

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
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
	// Streams reports whether a stream of this name can be one of the ledger's. What
	// else is in such a stream, or is done to it, is told by [Store.Interferences].
	// Default: all whose names begin with Prefix.
	Streams func(name string) bool
	// Timeout bounds a write, its repetitions after lost connections included,
	// and an attempt to connect. Default: 5 s.
	Timeout time.Duration
	// MinBackoff and MaxBackoff bound the pauses between attempts to connect.
	// Default: 50 ms and 5 s.
	MinBackoff, MaxBackoff time.Duration
	// Lease is how long an append that was answered shows that the node that
	// answered it leads, from when it was sent. It has to be shorter than the
	// servers need to elect another leader: 1.5 s, as they come. Default: 1 s.
	Lease time.Duration
	// Jitter draws a pause from zero to the most, so that nodes do not all try
	// again at the same moment. Default: at random.
	Jitter func(most time.Duration) time.Duration
}

// Store is the engine. It implements [eventstore.Store].
type Store struct {
	eventstore.Extent
	options    Options
	supervisor *supervisor // of the connection for appends, the head, streams and the tail
	long       *supervisor // of the one for long reads, so that they hold up nothing else
	lease      lease
	mu         sync.Mutex // guards the change of the stream for barriers
	barriers   atomic.Int32
	bounded    atomic.Bool // whether the server has been told to keep one barrier
	lost       atomic.Bool // whether the server that leads was shown to lack what is known
	tail       *tail
	index      *index
	heads      *heads
	turns      *turns
	places     places
	watch      watch
	reading    atomic.Pointer[longRead]
	barred     *barred
	denied     sync.Once       // it was told that the settings of streams may not be read
	pages      chan struct{}   // an element for each page of history that is asked for
	ctx        context.Context // ends with the store
	stop       context.CancelFunc
	done       sync.WaitGroup
}

var _ eventstore.Store = (*Store)(nil)

// New returns a store on the server that an esdb:// connection string names
// and starts its goroutines; Close it. It does not wait for the server: while
// that is away, calls return [eventstore.ErrUnavailable].
func New(url string, options Options) (*Store, error) {
	options = options.withDefaults()
	dialer, err := newLibrary(url, options.Timeout)
	if err != nil {
		return nil, err
	}
	return NewOn(dialer, options), nil
}

// NewOn is [New] on whatever a dialer finds: the library, or a model of the
// server.
func NewOn(dialer wire.Dialer, options Options) *Store {
	options = options.withDefaults()
	s := &Store{options: options, tail: newTail(), index: newIndex(), heads: newHeads(), barred: newBarred(), turns: newTurns(), pages: make(chan struct{}, maxPages)}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.supervisor, s.long = newSupervisor(s.ctx, dialer, options), newSupervisor(s.ctx, dialer, options)
	// A node that is silent is left by either, each by what it hears itself: the
	// one for long reads may be on a node that led before.
	s.supervisor.prove, s.long.prove, s.long.quiet = s.barrier, s.barrier, true
	s.long.superseded = func() {}
	s.supervisor.admit, s.long.admit = s.hasWhatIsKnown, s.hasWhatIsKnown
	s.supervisor.superseded = func() { s.long.drop(errSuperseded) }
	s.long.options.ObserveState = nil
	s.done.Go(s.supervisor.run)
	s.done.Go(s.long.run)
	s.done.Go(func() { s.follow(s.ctx) })
	return s
}

func (options Options) withDefaults() Options {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Timeout <= 0 {
		options.Timeout = 5 * time.Second
	}
	if options.Lease <= 0 {
		options.Lease = time.Second
	}
	if options.MinBackoff <= 0 {
		options.MinBackoff = 50 * time.Millisecond
	}
	if options.MaxBackoff <= 0 {
		options.MaxBackoff = 5 * time.Second
	}
	if options.Jitter == nil {
		options.Jitter = func(most time.Duration) time.Duration { return rand.N(most + 1) }
	}
	return options
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
	s.turns.close()
	s.stop()
	s.done.Wait()
	given := make(chan struct{})
	go func() {
		s.supervisor.drain()
		s.long.drain()
		close(given)
	}()
	select {
	case <-given:
	case <-time.After(s.options.Timeout): // see conn.Close
	}
}
