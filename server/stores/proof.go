package stores

import (
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay/verify"
)

// NewSigner makes the signer of checkpoints as configured.
func NewSigner(pool *pgxpool.Pool, store eventstore.Store, master *keyring.MasterKey, c config.Config, now func() time.Time) *transparency.Signer {
	return transparency.NewSigner(pool, store, transparency.SignerOptions{
		Host: c.LedgerOrigin, Key: master.CheckpointKey(), Memory: transparency.OpenMemory(c.CheckpointFile), Now: now,
	})
}

// NewVerifier verifies a ledger, by what is signed as identity, what the signer remembers
// and what somebody kept elsewhere.
func NewVerifier(pool *pgxpool.Pool, store eventstore.Store, logs *transparency.Logs, identity transparency.Identity, c config.Config, against []verify.Checkpoint, progress func(events int)) *verify.Verifier {
	return verify.New(store, verify.Options{
		Logs: logs, VerifierKey: identity.VerifierKey, Remembered: transparency.OpenMemory(c.CheckpointFile).Load,
		Against: against, Pool: pool, Progress: progress,
	})
}
