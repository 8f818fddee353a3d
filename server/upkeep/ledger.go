package upkeep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/migrations"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay/bundle"
	"github.com/sentryagent/agentidp/replay/verify"
	"github.com/sentryagent/agentidp/server/stores"
)

// Ledger is a ledger that is looked at without a server. Close it.
type Ledger struct {
	Pool  *pgxpool.Pool
	Store stores.Engine

	c      config.Config
	reader bool // the login only reads
}

// OpenLedger opens the ledger of a configuration, in a database that must be
// migrated. It has to be the database's, as far as its servers have said where
// that is.
func OpenLedger(ctx context.Context, c config.Config) (*Ledger, error) {
	pool, err := stores.OpenDatabase(ctx, c)
	if err != nil {
		return nil, err
	}
	return ledgerIn(ctx, c, pool, stores.CheckEngine)
}

// OpenMovedLedger is OpenLedger of one that may have been moved from another
// engine, for [Ledger.Adopt].
func OpenMovedLedger(ctx context.Context, c config.Config) (*Ledger, error) {
	pool, err := stores.OpenDatabase(ctx, c)
	if err != nil {
		return nil, err
	}
	return ledgerIn(ctx, c, pool)
}

// OpenLedgerForReading is OpenLedger also for a login that may read everything and
// may not work as the server.
func OpenLedgerForReading(ctx context.Context, c config.Config) (*Ledger, error) {
	pool, err := stores.OpenDatabaseForReading(ctx, c)
	if err != nil {
		return nil, err
	}
	ledger, err := ledgerIn(ctx, c, pool, stores.CheckEngine)
	if err != nil {
		return nil, err
	}
	err = pool.QueryRow(ctx, `SELECT current_user <> $1`, migrations.ServerRole).Scan(&ledger.reader)
	if err != nil {
		ledger.Close()
		return nil, err
	}
	return ledger, nil
}

func ledgerIn(ctx context.Context, c config.Config, pool *pgxpool.Pool, checks ...func(context.Context, *pgxpool.Pool, config.Config) error) (*Ledger, error) {
	if err := migrations.Check(ctx, pool); err != nil {
		pool.Close()
		return nil, err
	}
	for _, check := range checks {
		if err := check(ctx, pool, c); err != nil {
			pool.Close()
			return nil, err
		}
	}
	store, err := stores.OpenEngine(ctx, c, pool, nil, nil)
	if err != nil {
		pool.Close()
		return nil, err
	}
	if err := stores.CheckHead(ctx, store); err != nil {
		store.Close()
		pool.Close()
		return nil, err
	}
	return &Ledger{Pool: pool, Store: store, c: c}, nil
}

// ErrNoMasterKey: MASTER_KEY_FILE is not set.
var ErrNoMasterKey = errors.New("MASTER_KEY_FILE is not set, and the key that signs checkpoints comes from it")

// Identity is what its logs are known by, from the master key: under the name that
// the servers sign with.
func (l *Ledger) Identity(ctx context.Context) (transparency.Identity, error) {
	signer, err := l.signer()
	if err == nil {
		err = stores.CheckShared(ctx, l.Pool, stores.LedgerOrigin(l.c))
	}
	if err != nil {
		return transparency.Identity{}, err
	}
	return signer.Identity(), nil
}

// Signer signs its checkpoints, as a server with these settings would; it needs the
// master key.
func (l *Ledger) Signer(ctx context.Context) (*transparency.Signer, error) {
	signer, err := l.signer()
	if err == nil {
		err = stores.CheckShared(ctx, l.Pool, stores.SharedSettings(l.c)...)
	}
	return signer, err
}

func (l *Ledger) signer() (*transparency.Signer, error) {
	if l.c.MasterKeyFile == "" {
		return nil, ErrNoMasterKey
	}
	master, err := keyring.LoadMasterKey(l.c.MasterKeyFile)
	if err != nil {
		return nil, fmt.Errorf("MASTER_KEY_FILE: %w", err)
	}
	return stores.NewSigner(l.Pool, l.Store, master, l.c, time.Now), nil
}

// Verifier verifies it, by what is signed as identity, what the signer remembers
// and what somebody kept elsewhere.
func (l *Ledger) Verifier(identity transparency.Identity, against []verify.Checkpoint, progress func(events int)) *verify.Verifier {
	return stores.NewVerifier(l.Pool, l.Store, l.Logs(), identity, l.c, against, progress)
}

// Exporter exports it.
func (l *Ledger) Exporter(identity transparency.Identity, progress func(events int)) *bundle.Exporter {
	return &bundle.Exporter{Store: l.Store, Logs: l.Logs(), VerifierKey: identity.VerifierKey, Progress: progress}
}

// VerifySnapshots holds the states that servers decide from against the ledger;
// it needs the master key.
func (l *Ledger) VerifySnapshots(ctx context.Context) (ledger.SnapshotsVerified, error) {
	master, err := keyring.LoadMasterKey(l.c.MasterKeyFile)
	if err != nil {
		return ledger.SnapshotsVerified{}, fmt.Errorf("MASTER_KEY_FILE: %w", err)
	}
	snapshots := ledger.NewSnapshots(l.Pool, master, slog.New(slog.DiscardHandler))
	return ledger.New(l.Store, nil, nil, ledger.Options{Snapshots: snapshots}).VerifySnapshots(ctx)
}

// Queries asks its read models.
func (l *Ledger) Queries() *readmodels.Queries {
	q := stores.NewQueries(l.c, l.Pool, l.Store)
	if l.reader {
		return q.ForReader()
	}
	return q
}

// Logs reads its transparency logs.
func (l *Ledger) Logs() *transparency.Logs {
	logs := transparency.NewLogs(l.Pool)
	if l.reader {
		return logs.ForReader()
	}
	return logs
}

// Event finds an event by its id: any, where the engine can, else one that the
// audit trail shows.
func (l *Ledger) Event(ctx context.Context, id uuid.UUID) (event eventstore.Event, found bool, err error) {
	type byID interface {
		Event(context.Context, uuid.UUID) (eventstore.Event, bool, error)
	}
	if engine, can := l.Store.(byID); can {
		return engine.Event(ctx, id)
	}
	a, err := l.Queries().AuditEvent(ctx, readmodels.AllOrganizations, id)
	if errors.Is(err, readmodels.ErrNotFound) {
		return event, false, nil
	}
	return eventstore.Event{
		Position: a.Position, Stream: a.Stream, Revision: a.Revision, ID: id, Type: string(a.Action),
		Organization: a.OrganizationID.UUID, RecordedAt: a.Timestamp, Record: a.Record, Hash: a.Hash,
	}, err == nil, err
}

// Close gives everything back.
func (l *Ledger) Close() {
	l.Store.Close()
	l.Pool.Close()
}
