package app

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/migrations"
	"github.com/sentryagent/agentidp/projections/transparency"
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

// Close gives everything back.
func (l *Ledger) Close() {
	l.Store.Close()
	l.Pool.Close()
}
