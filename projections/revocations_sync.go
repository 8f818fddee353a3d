package projections

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/internal/wait"
)

// Sync brings the index up to date: when it returns nil, every event that was
// committed before the call has been applied. The error matches [ErrStale], or
// is the context's: then nothing is known, and the caller must refuse.
//
// Callers share reads of the ledger, but nobody joins one that began before it
// called. The end of one caller's context is not the others' concern.
func (r *Revocations) Sync(ctx context.Context) error { return r.group.join(ctx) }

// syncGroup runs one read at a time for all who wait, and a second one where many
// wait.
type syncGroup struct {
	read  func(callers int) (pauseUntil time.Time, err error)
	crowd int // so many who wait have a second read; 0: none do

	mu      sync.Mutex // guards what follows
	next    *flight    // gathers callers; its read has not begun
	running bool       // a goroutine takes care of next
	second  bool       // one more read is under way
}

// flight is one read and those who wait for it.
type flight struct {
	done    chan struct{} // closed when err is set
	err     error
	callers int
}

func (g *syncGroup) join(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	g.mu.Lock()
	f := g.next
	if f == nil {
		f = &flight{done: make(chan struct{})}
		g.next = f
	}
	f.callers++
	switch {
	case !g.running:
		g.running = true
		go g.fly()
	case g.crowd > 0 && f.callers >= g.crowd && !g.second:
		g.second, g.next = true, nil
		go g.flyBeside(f)
	}
	g.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fly reads until nobody waits any more.
func (g *syncGroup) fly() {
	for {
		// Yield once, so that callers that are ready join this read.
		runtime.Gosched()
		g.mu.Lock()
		f := g.next
		g.next = nil // who comes from here on waits for the read after this one
		if f == nil {
			g.running = false
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()

		pauseUntil, err := g.read(f.callers)
		f.err = err
		close(f.done)
		// The goroutine stays for the pause, so that callers of it gather.
		_ = wait.For(context.Background(), time.Until(pauseUntil))
	}
}

// flyBeside reads for a crowd, who need not wait until the read under way is over.
func (g *syncGroup) flyBeside(f *flight) {
	_, f.err = g.read(f.callers)
	close(f.done)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.second = false
}

// keepUp is Sync for whoever need not know everything: it asks for nothing that
// the engine has at hand.
func (r *Revocations) keepUp(ctx context.Context) error {
	if !r.loaded() {
		return r.Sync(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, r.options.Timeout)
	defer cancel()
	return r.bring(ctx, 1, func(ctx context.Context) (eventstore.Position, error) {
		return eventstore.Reached(ctx, r.store) // it may be behind what is known, and that is no loss
	})
}

// read applies what the ledger has beyond what is applied. The head is asked
// for first: when all that is relevant has been read after that, the index is
// complete up to the head, and the next read begins there.
func (r *Revocations) read(callers int) (pauseUntil time.Time, err error) {
	patience := r.options.Timeout
	if !r.loaded() {
		patience = r.options.LoadTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	start := time.Now()
	err = r.bring(ctx, callers, r.head)
	return start.Add(r.options.MinInterval), err
}

// head is that of a ledger which has all that is known of it.
func (r *Revocations) head(ctx context.Context) (eventstore.Position, error) {
	return eventstore.WholeHead(ctx, r.store, r.Position())
}

// bring is catchUp for so many callers, observed.
func (r *Revocations) bring(ctx context.Context, callers int, ask func(context.Context) (eventstore.Position, error)) error {
	start := time.Now()
	events, err := r.catchUp(ctx, ask)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrStale, err)
	}
	r.options.Observe(SyncObservation{
		Duration: time.Since(start), Callers: callers, Events: events, Position: r.Position(), Err: err,
	})
	return err
}

// loaded reports whether there has been a whole read.
func (r *Revocations) loaded() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.synced
}

// catchUp applies what the ledger has up to a head that is asked for.
func (r *Revocations) catchUp(ctx context.Context, ask func(context.Context) (eventstore.Position, error)) (events int, err error) {
	if err := r.restoreOnce(ctx); err != nil {
		return 0, err
	}
	head, err := ask(ctx)
	if err != nil {
		return 0, err
	}
	r.feeding.Lock()
	defer r.feeding.Unlock()
	if applied := r.Position(); head > applied { // only we move it
		for stored, err := range eventstore.ReadNew(ctx, r.store, applied, head, r.filter) {
			if err != nil {
				return events, err
			}
			event, err := follow.Decode(stored)
			if err != nil {
				return events, fmt.Errorf("event at position %d: %w", stored.Position, err)
			}
			for _, fold := range r.options.Also {
				fold.Apply(event)
			}
			r.apply(event)
			events++
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.applied = max(r.applied, head)
	r.synced = true
	return events, nil
}

func (r *Revocations) restoreOnce(ctx context.Context) error {
	r.feeding.Lock()
	defer r.feeding.Unlock()
	return r.restore(ctx)
}

// apply takes one event. Where a read fails later, the next one goes on after it.
func (r *Revocations) apply(e follow.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	about, ending := domain.About(e.Fact), domain.EndingOf(e.Fact)
	switch ending.Tokens {
	case domain.AgentNoun:
		note(r, r.agents, about.Agent, r.agents[about.Agent].after(e, ending))
	case domain.CredentialNoun:
		f := r.credentials[about.Credential].after(e, ending)
		if !ending.DelegationsKept {
			f.Lent, f.LentRevision = e.Position, e.Revision
		}
		note(r, r.credentials, about.Credential, f)
	case domain.TokenNoun:
		if r.options.Now().Before(ending.Expiry) {
			r.tokens[about.Token] = ending.Expiry
		}
	case domain.OrganizationNoun:
		r.organizations[about.Organization] = r.organizations[about.Organization].after(e, ending)
	case domain.DelegationNoun:
		r.endLink(about.Delegation)
	}
	if made, is := e.Fact.(domain.DelegationCreated); is {
		r.addLink(made, e.Position)
	}
	r.applied = e.Position
}

// after is what has become of an owner of tokens with an event that ends them.
func (f fate) after(e follow.Event, ending domain.Ending) fate {
	f.Cut, f.At = e.Position, e.Time
	switch ending.Owner {
	case domain.ShutOut:
		f.Dead = true
	case domain.LetIn:
		f.Dead = false
	case domain.AsBefore:
	}
	return f
}

// note keeps a fate, unless it is too long past to matter.
func note[ID comparable](r *Revocations, fates map[ID]fate, id ID, f fate) {
	if r.longPast(f.At) {
		delete(fates, id)
		return
	}
	fates[id] = f
}
