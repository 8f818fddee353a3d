package server

import (
	"cmp"
	"context"
	"fmt"

	"github.com/sentryagent/agentidp/api/did"
	"github.com/sentryagent/agentidp/api/oauth/clientauth"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/server/keys"
)

// writeSide decides what is added to the ledger, and which tokens are alive.
type writeSide struct {
	ledger      *ledger.Ledger
	keys        *keys.Keeper
	snapshots   *ledger.Snapshots
	revocations *revocation.Index
	idempotency *ledger.IdempotencyKeys
	assertions  *clientauth.UsedAssertions
	didKeys     *keyring.DIDKeys
	instance    did.Instance // from when the server has begun
}

func newWriteSide(f frame, s *storage, read *readSide, ring *keyring.Keyring) *writeSide {
	revocations := revocation.New(s.store, revocation.Options{
		Crowd: crowd(f.config), Now: f.now,
		Snapshots: revocation.NewSnapshots(s.pool, ring, f.logger),
	})
	snapshots := ledger.NewSnapshots(s.pool, ring, f.logger)
	didKeys := keyring.NewDIDKeys(s.pool, ring.MasterKey)
	l := ledger.New(s.store, read.progress, revocations, ledger.Options{
		SnapshotEvery: int64(f.config.SnapshotEvery), Snapshots: snapshots, Logger: f.logger, Now: f.now, ReadWait: f.config.ReadWaitTimeout,
		DIDKeys: didKeys,
	})
	return &writeSide{
		ledger: l,
		keys: keys.New(s.pool, l, ring, keys.Options{
			Timing: f.timing, Algorithm: f.config.JWTSigningAlg, Now: f.now, Logger: f.logger,
		}),
		snapshots:   snapshots,
		revocations: revocations,
		idempotency: ledger.NewIdempotencyKeys(s.pool, ring, f.now),
		assertions:  clientauth.NewUsedAssertions(s.pool),
		didKeys:     didKeys,
	}
}

// beginInstance brings up the server's own DID; the first start on a ledger makes
// its key.
func (w *writeSide) beginInstance(ctx context.Context, did string) error {
	key, err := w.ledger.InstanceKey(ctx)
	if err != nil {
		return err
	}
	signer, err := w.didKeys.InstanceSigner(ctx, key.PublicKey)
	if err != nil {
		return err
	}
	w.instance.DID, w.instance.Key, w.instance.Sign = did, key, signer.Sign
	return nil
}

// recordFirstKeys puts keys on record that were made before any server ran: each start
// does, for the one that made them may have died before it did. It gives a stream that the
// ledger has then.
func (w *writeSide) recordFirstKeys(ctx context.Context, ring *keyring.Keyring) (stream string, err error) {
	recorded, err := w.ledger.SigningKeys(ctx)
	if err != nil {
		return "", fmt.Errorf("signing keys: %w", err)
	}
	for _, key := range ring.PublicKeys() {
		if _, known := recorded.Find(key.KID); known || key.State == keyring.Retired {
			continue
		}
		jwk, err := key.JWK.MarshalJSON()
		if err != nil {
			return "", err
		}
		if err := w.ledger.RecordSigningKey(ctx, domain.SigningKeyCreated{KeyID: key.KID, Algorithm: key.Alg, PublicKey: jwk}); err != nil {
			return "", err
		}
		stream = cmp.Or(stream, domain.SigningKeyStream(key.KID))
	}
	return cmp.Or(stream, domain.SigningKeysStream), nil
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
