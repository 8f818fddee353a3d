package server

import (
	"context"

	"github.com/sentryagent/agentidp/api/oauth/clientauth"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// writeSide decides what is added to the ledger, and which tokens are alive.
type writeSide struct {
	ledger      *ledger.Ledger
	snapshots   *ledger.Snapshots
	revocations *revocation.Index
	idempotency *ledger.IdempotencyKeys
	assertions  *clientauth.UsedAssertions
}

func newWriteSide(f frame, s *storage, read *readSide, keys *keyring.Keyring) *writeSide {
	revocations := revocation.New(s.store, revocation.Options{
		Crowd: crowd(f.config), Now: f.now,
		Snapshots: revocation.NewSnapshots(s.pool, keys, f.logger),
	})
	snapshots := ledger.NewSnapshots(s.pool, keys, f.logger)
	return &writeSide{
		ledger: ledger.New(s.store, read.progress, revocations, ledger.Options{
			SnapshotEvery: int64(f.config.SnapshotEvery), Snapshots: snapshots, Logger: f.logger, Now: f.now, ReadWait: f.config.ReadWaitTimeout,
		}),
		snapshots:   snapshots,
		revocations: revocations,
		idempotency: ledger.NewIdempotencyKeys(s.pool, keys, f.now),
		assertions:  clientauth.NewUsedAssertions(s.pool),
	}
}

func (w *writeSide) recordKey(ctx context.Context, key keyring.PublicKey) error {
	jwk, err := key.JWK.MarshalJSON()
	if err != nil {
		return err
	}
	return w.ledger.RecordSigningKey(ctx, domain.SigningKeyCreated{KeyID: key.KID, Algorithm: key.Alg, PublicKey: jwk})
}

// crowd is how many checks of tokens have a second read of the ledger while one is
// under way. A database answers sooner than that would be of use.
func crowd(c config.Config) int {
	if c.EventStore != config.EventStoreESDB {
		return 0
	}
	const many = 16
	return many
}
