package server

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/reactors/jobs"
)

// Signer is the signer of checkpoints as configured.
func Signer(pool *pgxpool.Pool, store eventstore.Store, master *keyring.MasterKey, c config.Config, now func() time.Time) *transparency.Signer {
	return transparency.NewSigner(pool, store, transparency.SignerOptions{
		Host: c.LedgerOrigin, Key: master.CheckpointKey(), Memory: transparency.OpenMemory(c.CheckpointFile), Now: now,
	})
}

// signCheckpoints is the job that signs what has grown. A refusal is no trouble
// that passes: somebody has to look.
func signCheckpoints(signer *transparency.Signer, registry prometheus.Registerer) jobs.Judge {
	size := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "agentidp_checkpoint_tree_size", Help: "Entries in the newest checkpoint of the whole ledger that this node signed.",
	})
	refusals := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "agentidp_checkpoints_refused_total", Help: "Times that logs were not signed because they do not extend what was signed before.",
	})
	registry.MustRegister(size, refusals)
	return func(ctx context.Context) (jobs.Verdict, error) {
		all, err := signer.SignAll(ctx)
		for _, c := range all {
			if c.Log == transparency.Whole {
				size.Set(float64(c.Size))
			}
		}
		var refusal *transparency.RefusedError
		if errors.As(err, &refusal) {
			refusals.Inc()
			return jobs.Verdict{Count: int64(len(all)), Fault: err}, nil
		}
		return jobs.Verdict{Count: int64(len(all))}, err
	}
}
