// Package turns shares out what costs much: readers of history take turns, and
// several who ask for the same verification get one. Nobody waits for long.
package turns

import (
	"context"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
)

// readPatience is how long a reader waits for its turn.
const readPatience = time.Second

// shares are how many reads of a kind a server makes at once.
type shares struct {
	all     int
	tenant  int // of them, for one
	waiting int // of a tenant, those that run included
}

var (
	// A read of history takes a connection of the database, or the way to the event
	// store, for as long as it lasts.
	historyShares = shares{all: 4, tenant: 2, waiting: 16}
	// A read of the trail is short, but each may take many calls of the event store.
	// With its share no tenant takes most of the pool's connections.
	trailShares = shares{all: 6, tenant: 3, waiting: 256}
)

// Turns have readers take turns. Nobody waits for long: who is one too many hears
// at once, and the others within a second, when to come again.
type Turns struct {
	now    func() time.Time
	wait   time.Duration
	shares shares
	all    chan struct{} // one element for each that runs

	mu sync.Mutex // guards of
	of map[domain.OrganizationID]*readers
}

// readers are those of one organization.
type readers struct {
	running chan struct{} // one element for each that runs
	here    int           // that run or wait
}

// OfHistory are the turns of those who read history.
func OfHistory(now func() time.Time) *Turns { return newTurns(historyShares, now) }

// OfTrail are the turns of those who read the audit trail.
func OfTrail(now func() time.Time) *Turns { return newTurns(trailShares, now) }

func newTurns(s shares, now func() time.Time) *Turns {
	return &Turns{now: now, wait: readPatience, shares: s, all: make(chan struct{}, s.all), of: map[domain.OrganizationID]*readers{}}
}

// In reads when it is the caller's turn. The turn is over before the answer
// goes out: a client may be slow to take it.
func In[T any](c *gin.Context, t *Turns, read func(context.Context) (T, error)) (result T, err error) {
	release, err := t.take(c.Request.Context(), access.Caller(c).OrganizationID)
	if err != nil {
		return result, err
	}
	defer release()
	return read(c.Request.Context())
}

// take waits for a turn; release it.
func (t *Turns) take(ctx context.Context, organization domain.OrganizationID) (release func(), err error) {
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
			With(router.DetailResetAt, t.now().Add(t.wait).UTC())
	case <-ctx.Done():
		err = ctx.Err()
	}
	<-own.running
	leave()
	return nil, err
}

func (t *Turns) enter(organization domain.OrganizationID) (*readers, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	own := t.of[organization]
	if own == nil {
		own = &readers{running: make(chan struct{}, t.shares.tenant)}
		t.of[organization] = own
	}
	if own.here == t.shares.waiting {
		return nil, t.ownBound()
	}
	own.here++
	return own, nil
}

func (t *Turns) leave(organization domain.OrganizationID, own *readers) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if own.here--; own.here == 0 {
		delete(t.of, organization)
	}
}

func (t *Turns) ownBound() error {
	return domain.Refuse(router.CodeRateLimit, "the organization reads so much history already; try again when Retry-After says").
		With(router.DetailResetAt, t.now().Add(t.wait).UTC())
}
