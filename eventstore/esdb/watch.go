package esdb

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
)

// doubtAfter is how long a call may be without an answer before the other nodes
// are asked who leads.
const doubtAfter = time.Second

// silence is how long a read waits for an answer of a node that says nothing, where
// no other one leads: its caller is told that the store is unavailable. An append
// waits for [Options.Timeout], because whoever gives it up does not know what became
// of it.
const silence = 2800 * time.Millisecond

// errSilent: a node has not answered for so long.
var errSilent = errors.New("the event store does not answer")

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
	return within(ctx, w, w.attend, func(ctx context.Context) (wire.Written, error) {
		return w.Conn.Append(ctx, stream, expected, events)
	})
}

// ReadStream implements [wire.Conn].
func (w *watched) ReadStream(ctx context.Context, stream string, from int64, direction eventstore.Direction, count int) ([]wire.Record, error) {
	return within(ctx, w, w.reading(count), func(ctx context.Context) ([]wire.Record, error) {
		return w.Conn.ReadStream(ctx, stream, from, direction, count)
	})
}

// ReadAll implements [wire.Conn].
func (w *watched) ReadAll(ctx context.Context, from wire.Position, direction eventstore.Direction, count int) ([]wire.Record, error) {
	return within(ctx, w, w.reading(count), func(ctx context.Context) ([]wire.Record, error) {
		return w.Conn.ReadAll(ctx, from, direction, count)
	})
}

// within makes a call and gives it up when another connection has taken the
// place of its own, or when its attendant says so.
func within[T any](ctx context.Context, w *watched, attend attendant, call func(context.Context) (T, error)) (T, error) {
	calling, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(w.life, func() { cancel(errSuperseded) })()
	over := attend(cancel)
	answer, err := call(calling)
	over()
	if err == nil || ctx.Err() != nil {
		return answer, err
	}
	if cause := context.Cause(calling); errors.Is(cause, errSuperseded) || errors.Is(cause, errSilent) {
		err = &wire.Error{Verdict: wire.Broken, Err: cause}
	}
	return answer, err
}

// attendant looks after a call until it is over, and may give it up.
type attendant func(giveUp context.CancelCauseFunc) (over func())

// attend has the other nodes asked who leads when a call is not answered.
func (w *watched) attend(context.CancelCauseFunc) (over func()) { return w.supervisor.doubt(w) }

// reading is the attendant of a read of so many records.
func (w *watched) reading(count int) attendant {
	if count <= firstPage {
		return w.attendRead
	}
	return w.attendLong
}

// attendRead gives up a read that is not answered.
func (w *watched) attendRead(giveUp context.CancelCauseFunc) (over func()) {
	doubted := w.supervisor.doubt(w)
	timer := time.AfterFunc(silence, func() {
		w.supervisor.silenced(w)
		giveUp(errSilent)
	})
	return func() {
		timer.Stop()
		doubted()
	}
}

// attendLong gives up a read that may well take long when its node does not answer
// a short one meanwhile either.
func (w *watched) attendLong(giveUp context.CancelCauseFunc) (over func()) {
	asking, stop := context.WithCancel(w.life)
	var timer *time.Timer
	var mu sync.Mutex // guards timer
	ask := func() {
		ctx, cancel := context.WithTimeout(asking, silence-doubtAfter)
		defer cancel()
		_, err := within(ctx, w, w.attend, func(ctx context.Context) ([]wire.Record, error) {
			return w.Conn.ReadAll(ctx, wire.End, eventstore.Backwards, 1)
		})
		if err != nil && asking.Err() == nil && ctx.Err() != nil {
			w.supervisor.silenced(w)
			giveUp(errSilent)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if asking.Err() == nil {
			timer.Reset(doubtAfter)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(doubtAfter, ask)
	return func() {
		stop()
		mu.Lock()
		defer mu.Unlock()
		timer.Stop()
	}
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
			s.lookElsewhere(w)
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

// silenced takes note that a node does not answer. Until it does, or another has
// taken its place, readers need not try; the others go on being asked.
func (s *supervisor) silenced(w *watched) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away == w || s.conn != wire.Conn(w) {
		return
	}
	s.away = w
	if s.silent++; s.silent == 1 && s.prove != nil {
		s.lookElsewhere(w)
	}
	go func() {
		_, _ = w.Conn.ReadAll(w.life, wire.End, eventstore.Backwards, 1) // whatever it says, it answers
		s.mu.Lock()
		defer s.mu.Unlock()
		s.silent--
		if s.away == w {
			s.away = nil
		}
	}()
}

// Bounds of asking who else leads. One that is asked may be as silent as the
// first, so the next attempt does not wait for the last.
const (
	askEvery   = 200 * time.Millisecond
	askAtATime = 8
	askFor     = 1500 * time.Millisecond
)

// lookElsewhere begins to ask the other nodes, unless the store is being closed. The
// caller holds mu.
func (s *supervisor) lookElsewhere(w *watched) {
	if !s.draining {
		s.drained.Go(func() { s.askOthers(w) })
	}
}

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
			s.drained.Go(func() {
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
			})
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
