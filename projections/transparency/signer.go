package transparency

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/eventstore"
)

// Signer signs checkpoints. Of one size it signs one tree and no other, however
// often and wherever it is killed: what it is about to sign is in its [Memory]
// first, and it signs nothing that does not extend what is there.
type Signer struct {
	pool   *pgxpool.Pool
	logs   *Logs
	ledger ledger
	memory *Memory
	key    ed25519.PrivateKey
	host   string
	now    func() time.Time

	passed func(point) error // tests have it fail, as a crash at that point would
}

// ledger is asked where it ends: logs follow it and may be behind.
type ledger interface {
	Head(ctx context.Context) (eventstore.Position, error)
}

// SignerOptions are what a [Signer] is made of.
type SignerOptions struct {
	Host   string // of the origins, see [Origin]
	Key    ed25519.PrivateKey
	Memory *Memory
	Now    func() time.Time // default: time.Now
}

// NewSigner makes a signer of the logs in a database.
func NewSigner(pool *pgxpool.Pool, store eventstore.Store, o SignerOptions) *Signer {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Signer{
		pool: pool, logs: NewLogs(pool), ledger: store, memory: o.Memory, key: o.Key, host: o.Host, now: o.Now,
		passed: func(point) error { return nil },
	}
}

// point is where a signer may be killed.
type point string

const (
	beforeMemory point = "before remembering"
	beforeSign   point = "before signing"
	beforeStore  point = "before storing"
)

// Identity is what it signs as.
func (s *Signer) Identity() Identity {
	public, _ := s.key.Public().(ed25519.PublicKey)
	return Identity{s.host, public}
}

// Origin is what a log is called.
func (s *Signer) Origin(id uuid.UUID) string { return s.Identity().Origin(id) }

// VerifierKey is what to verify a log's checkpoints with.
func (s *Signer) VerifierKey(id uuid.UUID) string { return s.Identity().VerifierKey(id) }

const selectGrown = `SELECT l.organization_id FROM transparency_logs l
	WHERE NOT EXISTS (SELECT FROM checkpoints c WHERE c.organization_id = l.organization_id AND c.size >= l.size
		AND c.origin = CASE WHEN l.organization_id = $1 THEN $2 ELSE $3 || l.organization_id END)`

// SignAll signs every log that has grown since its newest checkpoint, and gives
// these and the newest of the whole ledger. Those that are refused keep none of
// the others from it: the error names them all.
func (s *Signer) SignAll(ctx context.Context) ([]Signed, error) {
	var grown []uuid.UUID
	err := s.logs.ask(ctx, Whole, selectGrown, []any{Whole, s.Origin(Whole), originPrefix(s.host)}, func(row pgx.CollectableRow) error {
		var id uuid.UUID
		err := row.Scan(&id)
		grown = append(grown, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	// The log of the whole ledger is looked at in any case: what has become
	// shorter has not grown.
	if !slices.Contains(grown, Whole) {
		grown = append(grown, Whole)
	}
	return s.Sign(ctx, grown...)
}

// Sign signs logs as they are now and keeps the checkpoints; one that has been
// signed at this size already is given again, and empty logs are left out. What
// the error is about is left out as well: a [*RefusedError] for each log that
// does not extend what was signed before.
func (s *Signer) Sign(ctx context.Context, ids ...uuid.UUID) (signed []Signed, err error) {
	var due []Signed
	var refused []error
	if err := s.passed(beforeMemory); err != nil {
		return nil, err
	}
	err = s.memory.change(ctx, func(known map[string]Remembered) error {
		for _, id := range ids {
			next, err := s.next(ctx, id, known)
			var refusal *RefusedError
			if errors.As(err, &refusal) && refusal.Refusal == RolledBack {
				next, err = s.next(ctx, id, known) // what is found by the length alone is looked at twice
			}
			switch {
			case errors.As(err, &refusal):
				refused = append(refused, err)
			case err != nil:
				return err
			case next.Size > 0:
				due = append(due, next)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range due {
		if err := s.passed(beforeSign); err != nil {
			return nil, err
		}
		if due[i].Note, err = due[i].sign(s.key); err != nil {
			return nil, err
		}
	}
	if err := s.passed(beforeStore); err != nil {
		return nil, err
	}
	return due, errors.Join(append(refused, s.store(ctx, due))...)
}

func (s *Signer) store(ctx context.Context, signed []Signed) error {
	err := keep(ctx, s.pool, func(batch *pgx.Batch) {
		for _, c := range signed {
			batch.Queue(insertCheckpoint, c.Log, c.Origin, c.Size, c.Root[:], int64(c.Position), c.Note, c.SignedAt)
		}
	})
	if err != nil {
		return fmt.Errorf("store signed checkpoints: %w", err)
	}
	return nil
}
