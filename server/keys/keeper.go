package keys

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/internal/wait"
	"github.com/sentryagent/agentidp/ledger"
)

// Timing is what the life of the keys goes by.
type Timing struct {
	Lead    time.Duration // from when every server serves a key to its first signature
	Spacing time.Duration // from one publication to the next
	MaxAge  time.Duration // of a key, before another is published in its place
	Poll    time.Duration // from one look of a server at the keys to the next
	Lease   time.Duration // how long a server counts as live after it was heard of
}

// TimingOf is that of a configuration.
func TimingOf(c config.Config) Timing {
	const (
		spacing = 5 * time.Minute // ASP.NET Core looks for new keys no more often
		poll    = 2 * time.Second
		lease   = 30 * time.Second
	)
	return Timing{Lead: c.SigningKeyLead, Spacing: spacing, MaxAge: c.SigningKeyMaxAge, Poll: poll, Lease: lease}
}

// Options are what a [Keeper] works by.
type Options struct {
	Timing    Timing
	Algorithm string // that tokens are signed with: JWT_SIGNING_ALG
	Now       func() time.Time
	Logger    *slog.Logger
}

// Keeper knows the signing keys as they are, and changes them. Make one with [New]. It
// is safe for concurrent use.
type Keeper struct {
	Options
	pool   *pgxpool.Pool
	ledger *ledger.Ledger
	ring   *keyring.Keyring
	server uuid.UUID // of this process, while it serves

	turn  chan struct{} // held while the keys are looked at; guards what follows
	began time.Time     // the last look
	found error         // what that ended with
}

// New makes a keeper of the keys in ring, which uses them as the keeper sees them from the first
// [Keeper.Look] on.
func New(pool *pgxpool.Pool, l *ledger.Ledger, ring *keyring.Keyring, options Options) *Keeper {
	k := &Keeper{Options: options, pool: pool, ledger: l, ring: ring, server: ledger.NewID(), turn: make(chan struct{}, 1)}
	ring.Keep(k)
	return k
}

// Limits implements [keyring.Looker].
func (k *Keeper) Limits() (again, useless time.Duration) {
	// What a server has signed with a key that is retired verifies for longer than this.
	const most = domain.KeyVerifiesFor - domain.TokenLifetime
	return k.Timing.Lease, min(k.Timing.Lead, most)
}

// Look has the keyring use the keys as they are in the ledger and the table, at a moment
// or later. Callers share looks, and however many they are, one begins no sooner
// than a tenth of a second after the one before.
func (k *Keeper) Look(ctx context.Context, asOf time.Time) error {
	const rest, patience = 100 * time.Millisecond, 5 * time.Second
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if k.began.After(asOf) {
		return k.found
	}
	if err := wait.For(ctx, rest-time.Since(k.began)); err != nil {
		return err
	}
	// Those who wait for their turn count on it, so it does not end with this caller.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	k.began = time.Now()
	_, k.found = k.look(ctx)
	return k.found
}

// view is the keys at one moment.
type view struct {
	keys   domain.SigningKeys // with those that are not on record
	stored []keyring.StoredKey
	news   bool // some are not on record although others are
}

// look reads the ledger first: what it tells of is in the table by then.
func (k *Keeper) look(ctx context.Context) (view, error) {
	at := time.Now()
	recorded, err := k.ledger.SigningKeys(ctx)
	if err != nil {
		return view{}, err
	}
	stored, err := keyring.Stored(ctx, k.pool)
	if err != nil {
		return view{}, err
	}
	by := byTable(stored)
	v := view{keys: recorded.With(by), stored: stored}
	v.news = len(recorded.Keys) > 0 && len(recorded.Adopt(by)) > 0
	states := map[string]keyring.State{}
	for _, key := range v.keys.Keys {
		if state, used := uses[key.State]; used {
			states[key.KeyID] = state
		}
	}
	return v, k.ring.Use(stored, states, at)
}

var uses = map[domain.SigningKeyState]keyring.State{
	domain.KeyPublished: keyring.Published, domain.KeyCurrent: keyring.Current, domain.KeyRetired: keyring.Retired,
}

// byTable is what the table says to who has nothing else to go by.
func byTable(stored []keyring.StoredKey) []domain.StoredSigningKey {
	keys := make([]domain.StoredSigningKey, len(stored))
	for i, row := range stored {
		keys[i] = domain.StoredSigningKey{KeyID: row.KID, Algorithm: row.Alg, CreatedAt: row.CreatedAt, Signs: row.Signs() && !row.VerifyOnly}
	}
	return keys
}

// row finds the stored half of a key.
func (v view) row(kid string) (keyring.StoredKey, bool) {
	for _, row := range v.stored {
		if row.KID == kid {
			return row, true
		}
	}
	return keyring.StoredKey{}, false
}

// change decides a command on the keys as they are.
func (k *Keeper) change(ctx context.Context, v view, command domain.SigningKeyCommand) (events []domain.Event, err error) {
	outcome, err := k.ledger.ChangeSigningKeys(ctx, byTable(v.stored), command)
	if err != nil {
		return nil, err
	}
	return outcome.Events, nil
}
