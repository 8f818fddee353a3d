package projections_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// load is clients that write and at once read what they have written, on
// connections that remember their statements.
type load struct {
	cancel  context.CancelFunc
	clients sync.WaitGroup
	rounds  atomic.Int64
	slowest atomic.Int64 // of the reads, in nanoseconds

	mu   sync.Mutex // guards what follows
	errs []error
	last eventstore.Position
}

// startLoad has clients do rounds until the load ends.
func startLoad(t testing.TB, round func(context.Context, *load) error) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{cancel: cancel}
	t.Cleanup(cancel)
	for range 4 {
		l.clients.Go(func() {
			for ctx.Err() == nil {
				err := round(ctx, l)
				if err == nil {
					l.rounds.Add(1)
				} else if ctx.Err() == nil {
					l.mu.Lock()
					l.errs = append(l.errs, err)
					l.mu.Unlock()
				}
			}
		})
	}
	return l
}

func (l *load) wrote(position eventstore.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = max(l.last, position)
}

// load begins. With a progress its clients wait for what they have written and
// read it.
func (w *world) load(t testing.TB, progress *projections.Progress) *load {
	t.Helper()
	return startLoad(t, func(ctx context.Context, l *load) error { return l.round(ctx, t, w, progress) })
}

func (l *load) round(ctx context.Context, t testing.TB, w *world, progress *projections.Progress) error {
	organization, id := newOrganizationID(), newAgentID()
	position := record(t, w.store, domain.AgentStream(id), organization, created(id, organization), issued(id, newCredentialID()))
	l.wrote(position)
	if progress == nil {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := progress.WaitAll(waiting, position); err != nil {
		return err
	}
	begin := time.Now()
	tenant := readmodels.InOrganization(organization)
	if _, err := w.queries.Agent(ctx, tenant, id); err != nil {
		return fmt.Errorf("agent written at %d: %w", position, err)
	}
	trail, err := w.queries.AuditEvents(ctx, tenant, readmodels.AuditFilter{})
	if err != nil || len(trail.Items) != 2 || trail.Total != 2 {
		return fmt.Errorf("audit trail at %d: %d of %d events, %w", position, len(trail.Items), trail.Total, err)
	}
	if tokens, err := w.queries.TokensIssued(ctx, organization, time.Now().Add(-time.Hour), time.Now()); err != nil || tokens != 1 {
		return fmt.Errorf("tokens issued at %d: %d, %w", position, tokens, err)
	}
	took := int64(time.Since(begin))
	for {
		slowest := l.slowest.Load()
		if took <= slowest || l.slowest.CompareAndSwap(slowest, took) {
			break
		}
	}
	return nil
}

// goOn waits until the clients have done some rounds more.
func (l *load) goOn(t testing.TB) {
	t.Helper()
	const some = 20
	enough := l.rounds.Load() + some
	eventually(t, "the load goes on", func() bool { return l.rounds.Load() >= enough })
}

// end ends the load; none of its reads may have failed or been stale.
func (l *load) end(t testing.TB) (last eventstore.Position) {
	t.Helper()
	l.cancel()
	l.clients.Wait()
	if len(l.errs) > 0 {
		t.Errorf("%d reads failed or were stale, the first: %v", len(l.errs), l.errs[0])
	}
	if l.rounds.Load() == 0 {
		t.Error("the load did nothing")
	}
	return l.last
}

func TestRebuildUnderLoadFailsNoReadAndShowsNoStaleOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.brought(t, 9000)
	progress := w.follow(t)
	load := w.load(t, progress)
	load.goOn(t)
	var held []time.Duration
	const rounds, bound = 5, 100 * time.Millisecond
	for range rounds {
		for _, result := range w.rebuild(t, projections.RebuildOptions{}, readmodels.All()...) {
			held = append(held, result.Held)
		}
		load.goOn(t)
	}
	slices.Sort(held)
	median, most := held[len(held)/2], held[len(held)-1]
	t.Logf("switches held readers up for %v (median), %v at most", median, most)
	// Other work on the machine may stretch some of them.
	if held[len(held)*3/4] > bound {
		t.Errorf("one switch in four held readers up for %v or more, want at most %v", held[len(held)*3/4], bound)
	}
	last := load.end(t)
	t.Logf("%d rounds of reads, the slowest took %v", load.rounds.Load(), time.Duration(load.slowest.Load()))
	waitAll(t, progress, last)
	w.mustVerify(t, readmodels.All()...)
}
