package esdb

import (
	"context"
	"errors"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
)

// doubtAfter is how long a call may be without an answer before the other nodes
// are asked who leads.
const doubtAfter = time.Second

// errSuperseded: another node leads, so nobody waits for this one any more.
var errSuperseded = errors.New("another node leads")

// watched is a connection whose silence is noticed. A node that is frozen, or out
// of reach, breaks no connection for a long time.
type watched struct {
	wire.Conn
	supervisor *supervisor
	life       context.Context // ends when another connection has taken its place
	abandon    context.CancelFunc
}

func (s *supervisor) watch(c wire.Conn) *watched {
	w := &watched{Conn: c, supervisor: s}
	w.life, w.abandon = context.WithCancel(s.ctx)
	return w
}

// Append implements [wire.Conn].
func (w *watched) Append(ctx context.Context, stream string, expected int64, events []wire.Proposal) (wire.Written, error) {
	return within(ctx, w, true, func(ctx context.Context) (wire.Written, error) {
		return w.Conn.Append(ctx, stream, expected, events)
	})
}

// ReadStream implements [wire.Conn].
func (w *watched) ReadStream(ctx context.Context, stream string, from int64, direction eventstore.Direction, count int) ([]wire.Record, error) {
	return within(ctx, w, count <= firstPage, func(ctx context.Context) ([]wire.Record, error) {
		return w.Conn.ReadStream(ctx, stream, from, direction, count)
	})
}

// ReadAll implements [wire.Conn].
func (w *watched) ReadAll(ctx context.Context, from wire.Position, direction eventstore.Direction, count int) ([]wire.Record, error) {
	return within(ctx, w, count <= firstPage, func(ctx context.Context) ([]wire.Record, error) {
		return w.Conn.ReadAll(ctx, from, direction, count)
	})
}

// within makes a call and gives it up when another connection has taken the
// place of its own. A short one that is not answered has the others asked.
func within[T any](ctx context.Context, w *watched, short bool, call func(context.Context) (T, error)) (T, error) {
	calling, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.life, cancel)()
	if short {
		defer w.supervisor.doubt(w)()
	}
	answer, err := call(calling)
	if err != nil && ctx.Err() == nil && w.life.Err() != nil {
		err = &wire.Error{Verdict: wire.Broken, Err: errSuperseded}
	}
	return answer, err
}

// doubt has the other nodes asked unless it is over in time.
func (s *supervisor) doubt(w *watched) (over func()) {
	if s.prove == nil {
		return func() {}
	}
	timer := time.AfterFunc(doubtAfter, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.silent++
		if s.silent == 1 {
			go s.askOthers(w)
		}
	})
	return func() {
		if !timer.Stop() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.silent--
		}
	}
}

// Bounds of asking who else leads. One that is asked may be as silent as the
// first, so the next attempt does not wait for the last.
const (
	askEvery   = 200 * time.Millisecond
	askAtATime = 8
	askFor     = 1500 * time.Millisecond
)

// askOthers looks for another leader for as long as calls are not answered. One
// that has answered an append is it.
func (s *supervisor) askOthers(w *watched) {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	found, asking := make(chan *watched), make(chan struct{}, askAtATime)
	again := time.NewTicker(askEvery)
	defer again.Stop()
	for {
		if _, current, _ := s.current(); current != wire.Conn(w) || !s.unheard() {
			return
		}
		select {
		case asking <- struct{}{}:
			go func() {
				defer func() { <-asking }()
				next := s.another(ctx)
				if next == nil {
					return
				}
				select {
				case found <- next:
				case <-ctx.Done():
					next.discard()
				}
			}()
		default:
		}
		select {
		case next := <-found:
			if s.unheard() && s.supersede(w, next) {
				return
			}
			next.discard()
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}

// another is a connection to a node that has shown that it leads, if there is one.
func (s *supervisor) another(ctx context.Context) *watched {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	c, err := s.dialer.Dial(ctx)
	if err != nil {
		return nil
	}
	next := s.watch(c)
	if s.prove(ctx, next) != nil {
		next.discard()
		return nil
	}
	return next
}

// discard gives a connection back that is not to be used.
func (w *watched) discard() {
	w.Retire(errSuperseded)
	w.abandon()
	w.supervisor.drained.Go(w.Close)
}

// supersede gives up a connection for another.
func (s *supervisor) supersede(w, next *watched) bool {
	s.mu.Lock()
	if s.conn != wire.Conn(w) || s.next != nil {
		s.mu.Unlock()
		return false
	}
	s.next = next
	s.mu.Unlock()
	s.options.Logger.Info("the event store's node does not answer, and another leads")
	w.Retire(errSuperseded)
	w.abandon()
	s.superseded()
	return true
}

// drop gives up the connection in use.
func (s *supervisor) drop(reason error) {
	if _, c, _ := s.current(); c != nil {
		c.Retire(reason)
		if w, ok := c.(*watched); ok {
			w.abandon()
		}
	}
}

// unheard reports that calls are not answered.
func (s *supervisor) unheard() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.silent > 0
}
