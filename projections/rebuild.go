package projections

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/lease"
)

// RebuildOptions tune a [Rebuilder]; the zero value is good.
type RebuildOptions struct {
	Logger *slog.Logger // default: discards
	// Restart throws away what an earlier rebuild has left behind, instead of
	// going on with it.
	Restart bool
	// Moved says that the live read models are those of another engine, whose
	// positions mean nothing here. No runner works on them.
	Moved bool
	// Report is called often, with where a rebuild is; never twice at the same time.
	// May be nil.
	Report func(RebuildState)
}

// RebuildStage says what a rebuild is busy with.
type RebuildStage string

const (
	Filling   RebuildStage = "filling"   // rows, from the ledger
	Indexing  RebuildStage = "indexing"  // what the live tables have indexes for
	Switching RebuildStage = "switching" // once nobody reads for a moment
	Done      RebuildStage = "done"
)

// RebuildState is where a rebuild is.
type RebuildState struct {
	Projection string
	Stage      RebuildStage
	Position   eventstore.Position // rows are there up to here
	Head       eventstore.Position // of the ledger
}

// Rebuilt is how a rebuild went.
type Rebuilt struct {
	Projection string
	Version    int
	Resumed    eventstore.Position // where an earlier rebuild had come to; 0: none
	Position   eventstore.Position
	Events     int64         // applied by this one
	Took       time.Duration // in all
	Held       time.Duration // how long the switch kept readers waiting, at most
	Err        error         // why it did not get to the end; nil: the new tables are live
}

// Rebuilder derives read models from the ledger a second time, beside the live
// tables, and lets the result take their place.
//
// Until the switch, which is one short transaction, nothing that is live is
// touched: readers read, the runner runs. What is derived is in schema next,
// and its checkpoint in projection_rebuilds moves with its rows, so a rebuild
// that was killed is resumed by the next one. Over all processes one rebuild of
// a projection works at a time.
//
// A rebuild has no side effects: what follows events to the outside is not a
// projection, and does not notice.
type Rebuilder struct {
	pool      *pgxpool.Pool
	store     eventstore.Store
	options   RebuildOptions
	reporting sync.Mutex // held while Report is called
	switching sync.Mutex // held while tables are switched
}

// ErrRebuilding: another process is rebuilding the projection.
var ErrRebuilding = errors.New("another process is rebuilding it")

// NewRebuilder makes a rebuilder on the server's pool.
func NewRebuilder(pool *pgxpool.Pool, store eventstore.Store, options RebuildOptions) *Rebuilder {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	return &Rebuilder{pool: pool, store: store, options: options}
}

// Rebuild rebuilds projections in one pass over the ledger. The results are in
// their order; one that fails does not keep the others from it.
func (r *Rebuilder) Rebuild(ctx context.Context, list ...Projection) []Rebuilt {
	start := time.Now()
	leases := lease.New(r.pool, "agentidp rebuild")
	defer leases.Keep()()
	results := make([]Rebuilt, len(list))
	shadows := make([]*shadow, len(list))
	var opened []*derivation
	for i := range list {
		results[i] = Rebuilt{Projection: list[i].Name, Version: list[i].Version}
		s, err := r.open(ctx, leases, &list[i])
		if err != nil {
			results[i].Err = err
			continue
		}
		defer s.close()
		shadows[i], opened = s, append(opened, &s.derivation)
		results[i].Resumed = s.position
	}
	if len(opened) > 0 {
		if err := r.fill(ctx, opened); err != nil {
			for i, s := range shadows {
				if s != nil {
					results[i].Err = err
				}
			}
			return results
		}
	}
	var all sync.WaitGroup
	for i, s := range shadows {
		if s == nil {
			continue
		}
		all.Go(func() {
			result := &results[i]
			result.Held, result.Err = r.complete(ctx, s)
			result.Position, result.Events, result.Took = s.position, s.events, time.Since(start)
		})
	}
	all.Wait()
	return results
}

// fill brings derivations to where the ledger ends now.
func (r *Rebuilder) fill(ctx context.Context, list []*derivation) error {
	head, err := r.store.Head(ctx)
	if err != nil {
		return err
	}
	return pass(ctx, r.store, list, head)
}

// complete takes a shadow from where the pass has brought it to being live.
func (r *Rebuilder) complete(ctx context.Context, s *shadow) (held time.Duration, err error) {
	if s.err != nil {
		return 0, s.err
	}
	r.reportStage(s, Indexing)
	if err := s.finish(ctx); err != nil {
		return 0, err
	}
	r.reportStage(s, Switching)
	held, err = r.replace(ctx, s)
	if err != nil {
		return 0, err
	}
	r.reportStage(s, Done)
	s.logger.Info("read model rebuilt", "position", s.position, "events", s.events, "held", held)
	s.dropPrevious(ctx)
	return held, nil
}

func (r *Rebuilder) reportStage(s *shadow, stage RebuildStage) {
	if r.options.Report == nil {
		return
	}
	r.reporting.Lock()
	defer r.reporting.Unlock()
	r.options.Report(RebuildState{Projection: s.projection.Name, Stage: stage, Position: s.position, Head: max(s.head, s.position)})
}

// RebuildError says that rebuilds of some projections failed.
func RebuildError(results []Rebuilt) error {
	var errs []error
	for _, result := range results {
		if result.Err != nil {
			errs = append(errs, fmt.Errorf("rebuild %s: %w", result.Projection, result.Err))
		}
	}
	return errors.Join(errs...)
}
