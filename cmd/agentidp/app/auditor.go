package app

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
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay"
)

// Ledger is a ledger that is looked at without a server. Close it.
type Ledger struct {
	Pool  *pgxpool.Pool
	Store Engine
	c     config.Config
}

// OpenLedger opens the ledger of a configuration, in a database that must be
// migrated.
func OpenLedger(ctx context.Context, c config.Config) (*Ledger, error) {
	pool, err := OpenDatabase(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := migrations.Check(ctx, pool); err != nil {
		pool.Close()
		return nil, err
	}
	store, err := openEngine(ctx, c, pool, nil, nil)
	if err != nil {
		pool.Close()
		return nil, err
	}
	if err := checkHead(ctx, store); err != nil {
		store.Close()
		pool.Close()
		return nil, err
	}
	return &Ledger{Pool: pool, Store: store, c: c}, nil
}

// Signer signs its checkpoints; it needs the master key.
func (l *Ledger) Signer() (*transparency.Signer, error) {
	master, err := keyring.LoadMasterKey(l.c.MasterKeyFile)
	if err != nil {
		return nil, fmt.Errorf("MASTER_KEY_FILE: %w", err)
	}
	return Signer(l.Pool, l.Store, master, l.c, time.Now), nil
}

// Verifier verifies it, by what signer signs and remembers and by what
// somebody kept elsewhere.
func (l *Ledger) Verifier(signer *transparency.Signer, against []replay.Checkpoint, progress func(events int)) *replay.Verifier {
	return newVerifier(l.Pool, l.Store, signer, l.c, against, progress)
}

func newVerifier(pool *pgxpool.Pool, store eventstore.Store, signer *transparency.Signer, c config.Config, against []replay.Checkpoint, progress func(events int)) *replay.Verifier {
	return replay.NewVerifier(store, replay.VerifierOptions{
		Logs: transparency.NewLogs(pool), VerifierKey: signer.VerifierKey, Remembered: transparency.OpenMemory(c.CheckpointFile).Load,
		Against: against, Pool: pool, Progress: progress,
	})
}

// Exporter exports it.
func (l *Ledger) Exporter(signer *transparency.Signer, progress func(events int)) *replay.Exporter {
	return &replay.Exporter{Store: l.Store, Logs: transparency.NewLogs(l.Pool), VerifierKey: signer.VerifierKey, Progress: progress}
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
func (l *Ledger) Queries() *projections.Queries { return newQueries(l.c, l.Pool, l.Store) }

// Event finds an event by its id: any, where the engine can, else one that the
// audit trail shows.
func (l *Ledger) Event(ctx context.Context, id uuid.UUID) (event eventstore.Event, found bool, err error) {
	type byID interface {
		Event(context.Context, uuid.UUID) (eventstore.Event, bool, error)
	}
	if engine, can := l.Store.(byID); can {
		return engine.Event(ctx, id)
	}
	a, err := l.Queries().AuditEvent(ctx, projections.AllOrganizations, id)
	if errors.Is(err, projections.ErrNotFound) {
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
