package esdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
	"github.com/sentryagent/agentidp/internal/wait"
)

// Phase is how a store stands with its server.
type Phase string

const (
	// Connecting: the first attempt after the start or after a connection broke
	// is under way. Calls wait for how it ends.
	Connecting Phase = "connecting"
	// Connected: a node has been found and answers.
	Connected Phase = "connected"
	// Unavailable: an attempt has failed, others follow. Calls fail at once.
	Unavailable Phase = "unavailable"
)

// State is what the supervisor knows of the connection.
type State struct {
	Phase       Phase
	Since       time.Time // when the phase began
	Failures    int       // attempts that failed since there was a connection last
	Connections int       // that have been made; all but the first replaced one that broke
	Err         error     // of the last attempt that failed, or what broke the connection; nil while connected
}

// supervisor keeps a conn, and makes a new one when it breaks.
type supervisor struct {
	dialer     wire.Dialer
	options    Options
	ctx        context.Context                        // it works until then
	admit      func(context.Context, wire.Conn) error // refuses a new connection
	prove      func(context.Context, wire.Conn) error // shows that a node leads; nil where that is not asked
	quiet      bool                                   // what becomes of the connection is told by nobody
	superseded func()                                 // is told that another node leads
	drained    sync.WaitGroup                         // conns that are being given back, and who looks for others

	mu      sync.Mutex // guards what follows
	state   State
	conn    wire.Conn     // nil unless connected
	next    *watched      // to go over to, once conn is done
	silent  int           // calls without an answer for a while
	away    *watched      // that has not answered for longer; nil for none
	changed chan struct{} // closed, and replaced, with every change of the phase

	draining bool // nobody begins to look for other nodes any more
}

func newSupervisor(ctx context.Context, dialer wire.Dialer, options Options) *supervisor {
	return &supervisor{
		dialer: dialer, options: options, ctx: ctx,
		state: State{Phase: Connecting, Since: time.Now()}, changed: make(chan struct{}),
	}
}

// steady is how long a connection has to last for the next attempt to be made
// without a pause.
const steady = time.Second

// run works until the supervisor's context ends.
func (s *supervisor) run() {
	defer func() { s.lost(Unavailable, errClosed) }()
	for failures := 0; s.ctx.Err() == nil; {
		c, err := s.connect()
		longest := s.options.MaxBackoff
		if err == nil {
			begin := time.Now()
			s.connected(c)
			select {
			case <-s.ctx.Done():
				c.Retire(errClosed)
			case <-c.Done():
			}
			s.drained.Go(c.Close)
			s.lost(Connecting, c.Err())
			if time.Since(begin) > steady {
				failures = 0
				continue
			}
			longest = steady // a node was there, and calls wait for the next one
		} else if s.ctx.Err() == nil {
			s.lost(Unavailable, err)
		}
		failures++
		_ = wait.For(s.ctx, min(longest, s.options.backoff(failures)))
	}
}

// drain waits until all conns have been given back. It comes after run.
func (s *supervisor) drain() {
	s.mu.Lock()
	s.draining = true // whoever looks elsewhere is counted by now, or never begins
	s.mu.Unlock()
	s.drained.Wait()
}

// connect is the connection that has taken the place of the last one, or a new
// one.
func (s *supervisor) connect() (*watched, error) {
	s.mu.Lock()
	next := s.next
	s.next = nil
	s.mu.Unlock()
	if next != nil {
		return next, nil
	}
	c, err := s.dial()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.options.Timeout)
	defer cancel()
	if err := s.admit(ctx, c); err != nil {
		c.Retire(err)
		s.drained.Go(c.Close)
		return nil, err
	}
	return s.watch(c), nil
}

// Bounds of dialing. A silent node that is asked for the way holds up an attempt for
// a second.
const (
	dialAgainAfter = 500 * time.Millisecond
	dialAtATime    = 4
)

// dial makes a connection. The node that an attempt asks for the way may be silent,
// so the next attempt does not wait for it: the first that is through counts.
func (s *supervisor) dial() (wire.Conn, error) {
	type dialed struct {
		conn wire.Conn
		err  error
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	answers := make(chan dialed)
	again := time.NewTicker(dialAgainAfter)
	defer again.Stop()
	for attempts, failing := 0, false; ; {
		if attempts < dialAtATime && !failing {
			attempts++
			go func() {
				c, err := s.dialer.Dial(ctx)
				answers <- dialed{c, err}
			}()
		}
		select {
		case a := <-answers:
			if attempts--; a.err != nil && attempts > 0 {
				failing = true
				continue
			}
			s.drained.Go(func() {
				for range attempts {
					if late := <-answers; late.err == nil {
						late.conn.Close()
					}
				}
			})
			return a.conn, a.err
		case <-again.C:
		}
	}
}

// backoff is how long to wait after so many failures: about twice as long each
// time, and never for all nodes the same.
func (o Options) backoff(failures int) time.Duration {
	wait := o.MaxBackoff
	if failures < 16 {
		wait = min(wait, o.MinBackoff<<(failures-1))
	}
	return wait/2 + o.Jitter(wait/2)
}

func (s *supervisor) connected(c wire.Conn) {
	s.change(func(state *State) {
		s.conn = c
		*state = State{Phase: Connected, Connections: state.Connections + 1}
	})
}

func (s *supervisor) lost(phase Phase, err error) {
	s.change(func(state *State) {
		s.conn = nil
		state.Phase, state.Err = phase, err
		if phase == Unavailable {
			state.Failures++
		}
	})
}

func (s *supervisor) change(to func(*State)) {
	s.mu.Lock()
	before := s.state.Phase
	to(&s.state)
	if s.state.Phase != before {
		s.state.Since = time.Now()
	}
	state := s.state
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	if state.Phase != before && !s.quiet && s.prove != nil {
		s.options.Logger.Log(context.Background(), level(state), "the event store is "+string(state.Phase), "error", state.Err)
	}
	if s.options.ObserveState != nil {
		s.options.ObserveState(state)
	}
}

// level is how much a new state matters: that we closed it is no news.
func level(s State) slog.Level {
	switch {
	case errors.Is(s.Err, errClosed):
		return slog.LevelDebug
	case s.Phase == Unavailable:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// current is the state, the conn if there is one, and a channel that closes
// with the next change.
func (s *supervisor) current() (State, wire.Conn, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.conn, s.changed
}

// acquire is the conn to use. It waits while one is being made for the first
// time, and gives up when that fails.
func (s *supervisor) acquire(ctx context.Context) (wire.Conn, error) {
	return s.await(ctx, func(state State) bool { return state.Phase == Unavailable })
}

// acquireSoon is acquire for who does not wait long: no longer than to a deadline for
// a connection that takes the place of one that broke, and not at all for one that
// does not answer.
func (s *supervisor) acquireSoon(ctx context.Context, deadline time.Time) (wire.Conn, error) {
	state, c, _ := s.current()
	switch {
	case c != nil && s.isAway(c):
		return nil, fmt.Errorf("%w: %w", eventstore.ErrUnavailable, errSilent)
	case c != nil && !dead(c) || state.Connections == 0:
		return s.acquire(ctx)
	}
	waiting, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	c, err := s.acquire(waiting)
	if err != nil && ctx.Err() == nil && waiting.Err() != nil {
		state, _, _ := s.current()
		err = fmt.Errorf("%w: no connection to it yet: %w", eventstore.ErrUnavailable, errors.Join(state.Err))
	}
	return c, err
}

func (s *supervisor) isAway(c wire.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.away != nil && c == wire.Conn(s.away)
}

// await waits for a conn, until it is to give up or ctx ends.
func (s *supervisor) await(ctx context.Context, giveUp func(State) bool) (wire.Conn, error) {
	for {
		state, c, changed := s.current()
		if c != nil && !dead(c) {
			return c, nil
		}
		if giveUp(state) {
			return nil, fmt.Errorf("%w: %w", eventstore.ErrUnavailable, errors.Join(state.Err))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		}
	}
}

func dead(c wire.Conn) bool {
	select {
	case <-c.Done():
		return true
	default:
		return false
	}
}
