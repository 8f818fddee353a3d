package upkeep

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/server/keys"
)

// SigningKeys are those of the servers on a database, which may run meanwhile. Close it.
type SigningKeys struct {
	*keys.Keeper
	ledger *Ledger
}

// OpenSigningKeys opens them. Where there are none it makes the first ones.
func OpenSigningKeys(ctx context.Context, c config.Config) (*SigningKeys, error) {
	l, err := OpenLedger(ctx, c)
	if err != nil {
		return nil, err
	}
	ring, err := keyring.Open(ctx, l.Pool, c.MasterKeyFile)
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	return &SigningKeys{keys.New(l.Pool, ledger.New(l.Store, nil, nil, ledger.Options{}), ring, keys.Options{
		Timing: keys.TimingOf(c), Algorithm: c.JWTSigningAlg, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	}), l}, nil
}

// Close gives everything back.
func (k *SigningKeys) Close() { k.ledger.Close() }
