package api

import (
	"context"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/domain"
)

// How many reads of history a server makes at once: each may take a connection of
// the database, or the way to the event store, for as long as it lasts.
const (
	readsAtOnce   = 4
	readsOfTenant = 2  // of them
	readsWaiting  = 16 // of a tenant, those that run included
	readPatience  = time.Second
)

// turns have readers of history take turns. Nobody waits for long: who is one too
// many hears at once, and the others within a second, when to come again.
type turns struct {
	now  func() time.Time
	wait time.Duration
	all  chan struct{} // one element for each that runs

	mu sync.Mutex // guards of
	of map[domain.OrganizationID]*readers
}

// readers are those of one organization.
type readers struct {
	running chan struct{} // one element for each that runs
	here    int           // that run or wait
}

func newTurns(now func() time.Time) *turns {
	return &turns{now: now, wait: readPatience, all: make(chan struct{}, readsAtOnce), of: map[domain.OrganizationID]*readers{}}
}

// take waits for a turn; release it.
func (t *turns) take(ctx context.Context, organization domain.OrganizationID) (release func(), err error) {
	own, err := t.enter(organization)
	if err != nil {
		return nil, err
	}
	leave := func() { t.leave(organization, own) }
	patience := time.NewTimer(t.wait)
	defer patience.Stop()
	select {
	case own.running <- struct{}{}:
	case <-patience.C:
		leave()
		return nil, t.ownBound()
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
	select {
	case t.all <- struct{}{}:
		return func() {
			<-t.all
			<-own.running
			leave()
		}, nil
	case <-patience.C:
		err = domain.Refuse(domain.CodeUnavailable, "this server reads history for others already; try again when Retry-After says").
			With(detailResetAt, t.now().Add(t.wait).UTC())
	case <-ctx.Done():
		err = ctx.Err()
	}
	<-own.running
	leave()
	return nil, err
}

func (t *turns) enter(organization domain.OrganizationID) (*readers, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	own := t.of[organization]
	if own == nil {
		own = &readers{running: make(chan struct{}, readsOfTenant)}
		t.of[organization] = own
	}
	if own.here == readsWaiting {
		return nil, t.ownBound()
	}
	own.here++
	return own, nil
}

func (t *turns) leave(organization domain.OrganizationID, own *readers) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if own.here--; own.here == 0 {
		delete(t.of, organization)
	}
}

func (t *turns) ownBound() error {
	return domain.Refuse(codeRateLimit, "the organization reads so much history already; try again when Retry-After says").
		With(detailResetAt, t.now().Add(t.wait).UTC())
}
