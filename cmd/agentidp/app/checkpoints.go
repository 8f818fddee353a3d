package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// Signer is the signer of checkpoints as configured.
func Signer(pool *pgxpool.Pool, store eventstore.Store, master *keyring.MasterKey, c config.Config, now func() time.Time) *transparency.Signer {
	return transparency.NewSigner(pool, store, transparency.SignerOptions{
		Host: c.LedgerOrigin, Key: master.CheckpointKey(), Memory: transparency.OpenMemory(c.CheckpointFile), Now: now,
	})
}

// signCheckpoints is the job that signs what has grown. A refusal is no trouble
// that passes: it is counted, and logged each time until somebody has looked.
func signCheckpoints(signer *transparency.Signer, registry prometheus.Registerer, logger *slog.Logger) func(context.Context) error {
	size := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "agentidp_checkpoint_tree_size", Help: "Entries in the newest checkpoint of the whole ledger that this server signed or saw.",
	})
	signedAt := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "agentidp_checkpoint_signed_timestamp_seconds", Help: "When the logs were last found or made to be signed as they are.",
	})
	refusals := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "agentidp_checkpoints_refused_total", Help: "Logs that were not signed because they do not extend what was signed before.",
	})
	registry.MustRegister(size, signedAt, refusals)
	return func(ctx context.Context) error {
		signed, err := signer.SignAll(ctx)
		for _, c := range signed {
			if c.Log == transparency.Whole {
				size.Set(float64(c.Size))
			}
		}
		var refused *transparency.RefusedError
		switch {
		case errors.As(err, &refused):
			refusals.Inc()
			logger.ErrorContext(ctx, "a checkpoint is refused: see docs/runbooks/broken-chain.md", "reason", refused.Refusal, "error", err)
			return nil
		case err != nil:
			return err
		}
		signedAt.SetToCurrentTime()
		return nil
	}
}
