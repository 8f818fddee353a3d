package ledger

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/wait"
)

const (
	maxLaneBatch   = 128                   // commands that may share one append
	maxContention  = 5 * time.Second       // of decisions on newer and newer state before giving up
	maxPause       = 20 * time.Millisecond // before deciding again
	commandTimeout = 15 * time.Second      // for the store, once a command is under way
)

// decision is a command bound to an aggregate. It may be made several times,
// each time on newer state, and must depend on nothing else that changes.
type decision[S any] func(state S) ([]domain.Event, error)

// tenancy says whose events a decision makes, given the state they lead to.
type tenancy[S any] func(state S) domain.OrganizationID

// pending is a command waiting for its turn on a stream.
type pending[S any] struct {
	origin   Origin
	decide   decision[S]
	tenant   tenancy[S]
	done     chan struct{} // closed when outcome and err are set
	outcome  Outcome[S]
	err      error
	refused  error // by the last decision, not yet certain
	drafts   []eventstore.Draft
	canceled func() bool
}

// lane is the queue of one stream. Commands on it are decided one after
// another, each on the state that those before it will have led to, and what
// they decide is appended together: a hot stream costs one commit for many
// commands. Since the append is all or nothing, nothing is ever built on an
// event that did not make it.
type lane[S any] struct {
	queue []*pending[S] // guarded by repository.mu
}

// execute runs one command. When ctx ends first, the command may or may not
// have taken effect.
func (r *repository[S]) execute(ctx context.Context, stream string, origin Origin, tenant tenancy[S], decide decision[S]) (Outcome[S], error) {
	p := &pending[S]{
		origin: origin, decide: decide, tenant: tenant, done: make(chan struct{}),
		canceled: func() bool { return ctx.Err() != nil },
	}
	if r.enqueue(stream, p) {
		go r.drain(context.WithoutCancel(ctx), stream)
	}
	select {
	case <-p.done:
		return p.outcome, p.err
	case <-ctx.Done():
		return Outcome[S]{}, ctx.Err()
	}
}

// look gives the aggregate with every event that was committed before the
// call, as read does, but shared: of all who look at one stream at the same time
// one asks the store, or an append by somebody among them proves what they saw.
func (r *repository[S]) look(ctx context.Context, stream string) (S, error) {
	outcome, err := r.execute(ctx, stream, Origin{}, nil, func(S) ([]domain.Event, error) { return nil, nil })
	return outcome.State, err
}

// consider judges an aggregate without changing it: by what this process
// remembers, and where that is nothing or a refusal, by what the store says now.
func (r *repository[S]) consider(ctx context.Context, stream string, judge func(S) error) (S, error) {
	if known, cached := r.cache.get(stream); cached && judge(known.state) == nil {
		return known.state, nil
	}
	state, err := r.look(ctx, stream)
	if err != nil {
		return state, err
	}
	return state, judge(state)
}

// enqueue reports whether the lane is new and needs somebody to drain it.
func (r *repository[S]) enqueue(stream string, p *pending[S]) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, busy := r.lanes[stream]
	if !busy {
		l = &lane[S]{}
		r.lanes[stream] = l
	}
	l.queue = append(l.queue, p)
	return !busy
}

func (r *repository[S]) drain(ctx context.Context, stream string) {
	for {
		batch := r.next(stream)
		if batch == nil {
			return
		}
		r.run(ctx, stream, batch)
	}
}

// next takes what waits, or closes the lane when nothing does.
func (r *repository[S]) next(stream string) []*pending[S] {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lanes[stream]
	if len(l.queue) == 0 {
		delete(r.lanes, stream)
		return nil
	}
	n := min(len(l.queue), maxLaneBatch)
	batch := l.queue[:n:n]
	l.queue = l.queue[n:]
	return batch
}

func (r *repository[S]) run(ctx context.Context, stream string, batch []*pending[S]) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	err := r.commitSafely(ctx, stream, batch)
	for _, p := range batch {
		if p.err == nil {
			p.err = err
		}
		close(p.done)
	}
}

// commitSafely turns a panic into an error: a lane works for many callers and
// outlives each of them.
func (r *repository[S]) commitSafely(ctx context.Context, stream string, batch []*pending[S]) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			r.logger.ErrorContext(ctx, "panic", "panic", panicked, "stream", stream, "stack", string(debug.Stack()))
			r.forget(stream)
			err = fmt.Errorf("panic while deciding on %s", stream)
		}
	}()
	return r.commit(ctx, stream, batch)
}

// commit decides and appends until the append meets the state it was decided
// on. Refusals count only once they are known to rest on current state: the
// append that succeeds proves it, or a look at the store does. Where another node
// writes to the stream without a break, an append may lose many times in a row, and
// what it carries may be a revocation: it is tried again for as long as a caller waits.
func (r *repository[S]) commit(ctx context.Context, stream string, batch []*pending[S]) error {
	before, fresh, err := r.load(ctx, stream)
	if err != nil {
		return err
	}
	for attempt, begin := 0, time.Now(); time.Since(begin) < maxContention; attempt++ {
		after, drafts := r.decideAll(before, batch)
		if len(drafts) == 0 {
			if fresh {
				return r.deliver(batch, eventstore.Appended{})
			}
			fresh = true
			if before, err = r.refresh(ctx, stream, before); err != nil {
				return err
			}
			continue
		}
		appended, err := r.store.Append(ctx, stream, eventstore.Exactly(before.revision), drafts...)
		if err == nil {
			after.revision, after.position, after.hash = appended.Revision, appended.Position(), appended.Hash
			r.remember(stream, after)
			r.saveSnapshot(stream, before, after)
			return r.deliver(batch, appended)
		}
		before, err = r.afterFailure(ctx, stream, before, attempt, err)
		if err != nil {
			return err
		}
		fresh = true
	}
	return domain.Refuse(domain.CodeConflict, "too many changes at once; try again")
}

// decideAll decides the commands in turn on the state they find.
func (r *repository[S]) decideAll(start versioned[S], batch []*pending[S]) (versioned[S], []eventstore.Draft) {
	now := r.now().UTC().Truncate(time.Microsecond)
	v := start
	var drafts []eventstore.Draft
	for _, p := range batch {
		p.drafts, p.outcome = nil, Outcome[S]{}
		if p.canceled() {
			p.refused = context.Canceled
			continue
		}
		var events []domain.Event
		if events, p.refused = p.decide(v.state); p.refused != nil {
			continue
		}
		state := v.state
		for _, event := range events {
			state = evolved(state, event, now)
		}
		for _, event := range events {
			d, err := draft(p.origin, p.tenant(state), event, now)
			if err != nil {
				p.refused = err
				break
			}
			p.drafts = append(p.drafts, d)
		}
		if p.refused != nil {
			p.drafts = nil
			continue
		}
		v.state = state
		p.outcome = Outcome[S]{State: state, Events: events, Position: start.position}
		drafts = append(drafts, p.drafts...)
	}
	return v, drafts
}

// deliver makes the last decisions final.
func (r *repository[S]) deliver(batch []*pending[S], appended eventstore.Appended) error {
	next := 0
	for _, p := range batch {
		if p.refused != nil {
			p.err = p.refused
			continue
		}
		n := len(p.drafts)
		p.outcome.Positions = appended.Positions[next : next+n]
		p.outcome.EventIDs = make([]uuid.UUID, n)
		for i, d := range p.drafts {
			p.outcome.EventIDs[i] = d.ID
		}
		next += n
		if next > 0 {
			p.outcome.Position = appended.Positions[next-1]
		}
	}
	return nil
}

// afterFailure says what to decide on next, or that there is no point in it.
func (r *repository[S]) afterFailure(ctx context.Context, stream string, before versioned[S], attempt int, err error) (versioned[S], error) {
	var conflict *eventstore.ConflictError
	if !errors.As(err, &conflict) {
		r.forget(stream) // whether the events are there is unknown
		return before, fmt.Errorf("append to %s: %w", stream, err)
	}
	if conflict.Actual < before.revision {
		r.forget(stream) // we knew of events that are gone: start over from the store
		before, _, err = r.load(ctx, stream)
		return before, err
	}
	if attempt > 0 {
		if err := wait.For(ctx, r.jitter(min(time.Duration(attempt)*2*time.Millisecond, maxPause))); err != nil {
			return before, err
		}
	}
	return r.refresh(ctx, stream, before)
}
