package projections_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// cutStore cuts a read of the ledger off at the n-th event that is read through it.
type cutStore struct {
	eventstore.Store
	at   int64
	cut  func() error
	read atomic.Int64
}

func (s *cutStore) DensePositions() bool { return eventstore.Dense(s.Store) }

func (s *cutStore) ReadAll(ctx context.Context, after eventstore.Position, filter eventstore.Filter) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		for e, err := range s.Store.ReadAll(ctx, after, filter) {
			if err == nil && s.read.Add(1) == s.at {
				err = s.cut()
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Neither a comparison nor a rebuild takes a read that was cut off for the whole
// ledger: the one finds no difference, the other changes nothing that is live.
func TestReadModelsAreNotDerivedFromAReadThatIsCutOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	last := w.brought(t, 150)
	all := readmodels.All()
	agents := all[slices.IndexFunc(all, func(p projections.Projection) bool { return p.Name == "agents" })]
	audit := all[slices.IndexFunc(all, func(p projections.Projection) bool { return p.Name == "audit" })]
	errCut := fmt.Errorf("%w: cut off", eventstore.ErrUnavailable)
	for _, way := range []string{"error", "context", "connection"} {
		for at := int64(1); at <= int64(last); at += 12 {
			place := fmt.Sprintf("cut by %s at event %d", way, at)
			ctx, stop := context.WithCancel(t.Context())
			store := &cutStore{Store: w.store, at: at, cut: func() error {
				switch way {
				case "context":
					stop()
				case "connection":
					w.exec(t, `SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = current_database()
						AND pid <> pg_backend_pid() AND application_name NOT LIKE 'agentidp ledger%'`)
				default:
					return errCut
				}
				return nil
			}}
			for _, result := range projections.NewVerifier(w.pool, store, projections.VerifyOptions{}).Verify(ctx, agents, audit) {
				if result.Different != 0 || len(result.Found) > 0 {
					t.Errorf("%s: %s: found %v", place, result.Projection, result.Found)
				}
				if way == "error" && !errors.Is(result.Err, errCut) {
					t.Errorf("%s: %s: %v, want %v", place, result.Projection, result.Err, errCut)
				}
			}
			stop()
			ctx, stop = context.WithCancel(t.Context())
			store.read.Store(0)
			rebuilt := projections.NewRebuilder(w.pool, store, projections.RebuildOptions{Restart: true}).Rebuild(ctx, agents)
			stop()
			if err := rebuilt[0].Err; err == nil && way == "error" && store.read.Load() >= at {
				t.Errorf("%s: rebuilt through %d", place, rebuilt[0].Position)
			}
			w.pool.Reset() // of connections that were cut
			w.mustVerify(t, agents)
		}
	}
}
