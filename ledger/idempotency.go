package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/wait"
)

const (
	idempotencyKept  = 24 * time.Hour
	idempotencyLease = 3 * time.Second // without being renewed: then the server is taken for dead
	idempotencyRenew = time.Second
)

var errInProgress = domain.Refuse(domain.CodeConflict,
	"the first request with this Idempotency-Key is still being worked on; try again")

// Sealer encrypts what must not be readable in the database. The additional
// data binds a sealed text to its place.
type Sealer interface {
	Seal(plaintext, additional []byte) ([]byte, error)
	Open(sealed, additional []byte) ([]byte, error)
}

// IdempotencyKeys lets a request that creates something be repeated: the same
// key with the same request gets the same answer, and the thing is made once.
// Answers may hold secrets that are shown once, so they are kept sealed.
type IdempotencyKeys struct {
	pool   *pgxpool.Pool
	sealer Sealer
	now    func() time.Time // the clock by which events are dated
}

// NewIdempotencyKeys keeps keys in the database of the pool.
func NewIdempotencyKeys(pool *pgxpool.Pool, sealer Sealer, now func() time.Time) *IdempotencyKeys {
	return &IdempotencyKeys{pool: pool, sealer: sealer, now: now}
}

// Turn is the right to do what was asked for under a key.
type Turn struct {
	// ID is for what is made: the same one in every turn at one request.
	ID uuid.UUID
	// Since is when the turn was asked for. What has been made after that under ID
	// was made in a later turn, by who took this one for dead.
	Since time.Time
	// Again says that the same request had a turn before this one, and that nobody
	// knows what it made.
	Again bool
}

// Fate says what is to become of a key after a turn.
type Fate int

const (
	// Done: the answer is kept, for whoever asks again.
	Done Fate = iota
	// Undone: nothing was made. The key is as good as unused.
	Undone
	// Undecided: nobody can know what was made. The same request may have
	// another turn, with the same id.
	Undecided
)

// Once runs work for the first request with this key and returns its answer to
// all of them. Work may be repeated after a crash, in another [Turn] that may
// even begin while the first goes on, if that was taken for dead. Errors:
// [domain.CodeIdempotencyKeyReused] for another request under the same key,
// [domain.CodeConflict] while the first request is still running.
func (k *IdempotencyKeys) Once(
	ctx context.Context, client domain.AgentID, key string, request [sha256.Size]byte,
	work func(ctx context.Context, turn Turn) (answer []byte, fate Fate),
) (answer []byte, err error) {
	entry, err := k.acquireOrWait(ctx, client, sha256.Sum256([]byte(key)), request)
	if err != nil || entry.answer != nil {
		return entry.answer, err
	}
	stopRenewing := k.renew(ctx, entry)
	answer, fate := work(ctx, entry.turn)
	stopRenewing()
	switch fate {
	case Undone:
		return answer, k.release(ctx, entry)
	case Undecided:
		return answer, k.lapse(ctx, entry)
	}
	return answer, k.keep(ctx, entry, answer)
}

// acquireOrWait gives the first request some time to finish.
func (k *IdempotencyKeys) acquireOrWait(ctx context.Context, client domain.AgentID, key, request [sha256.Size]byte) (idempotencyEntry, error) {
	const (
		patience = idempotencyLease + 2*time.Second // long enough to outlast a server that died
		recheck  = 20 * time.Millisecond
	)
	for waited := time.Duration(0); ; waited += recheck {
		entry, err := k.acquire(ctx, client, key, request)
		if !errors.Is(err, errInProgress) || waited >= patience {
			return entry, err
		}
		if err := wait.For(ctx, recheck); err != nil {
			return entry, err
		}
	}
}

// idempotencyEntry is a key that this request holds, or the answer it got before.
type idempotencyEntry struct {
	client domain.AgentID
	key    [sha256.Size]byte
	turn   Turn
	holder uuid.UUID
	answer []byte
}

const insertIdempotencyKey = `
INSERT INTO idempotency_keys AS k (client, key, request, seed, holder, lease_until, created_at)
VALUES ($1, $2, $3, $4, $7, now() + $5, now())
ON CONFLICT (client, key) DO UPDATE
   SET holder = EXCLUDED.holder,
       lease_until = EXCLUDED.lease_until,
       request = EXCLUDED.request,
       seed = CASE WHEN k.created_at < now() - $6::interval THEN EXCLUDED.seed ELSE k.seed END,
       answer = NULL,
       created_at = CASE WHEN k.created_at < now() - $6::interval THEN now() ELSE k.created_at END
 WHERE k.created_at < now() - $6::interval
    OR (k.answer IS NULL AND k.lease_until < now() AND k.request = EXCLUDED.request)
RETURNING seed, created_at < now()`

const selectIdempotencyKey = `SELECT request, answer FROM idempotency_keys WHERE client = $1 AND key = $2`

func (k *IdempotencyKeys) acquire(ctx context.Context, client domain.AgentID, key, request [sha256.Size]byte) (idempotencyEntry, error) {
	entry := idempotencyEntry{client: client, key: key, holder: NewID(), turn: Turn{Since: k.now()}}
	err := k.pool.QueryRow(ctx, insertIdempotencyKey,
		client.UUID, key[:], request[:], NewID(), idempotencyLease, idempotencyKept, entry.holder).Scan(&entry.turn.ID, &entry.turn.Again)
	if err == nil {
		return entry, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return entry, unavailable("take idempotency key", err)
	}
	var before, sealed []byte
	if err := k.pool.QueryRow(ctx, selectIdempotencyKey, client.UUID, key[:]).Scan(&before, &sealed); err != nil {
		return entry, unavailable("read idempotency key", err)
	}
	if [sha256.Size]byte(before) != request {
		return entry, domain.Refuse(domain.CodeIdempotencyKeyReused, "this Idempotency-Key was used for another request; use a new one")
	}
	if sealed == nil {
		return entry, errInProgress
	}
	entry.answer, err = k.sealer.Open(sealed, entry.place())
	return entry, err
}

const renewIdempotencyLease = `
UPDATE idempotency_keys SET lease_until = now() + $4 WHERE client = $1 AND key = $2 AND holder = $3`

// renew keeps the lease while the request is worked on. Where that fails for
// too long another may take over, and completes the same thing.
func (k *IdempotencyKeys) renew(ctx context.Context, entry idempotencyEntry) (stop func()) {
	ctx, stop = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		for wait.For(ctx, idempotencyRenew) == nil {
			_, _ = k.pool.Exec(ctx, renewIdempotencyLease, entry.client.UUID, entry.key[:], entry.holder, idempotencyLease)
		}
	}()
	return stop
}

const keepIdempotencyAnswer = `
UPDATE idempotency_keys SET answer = $3 WHERE client = $1 AND key = $2 AND holder = $4`

func (k *IdempotencyKeys) keep(ctx context.Context, entry idempotencyEntry, answer []byte) error {
	sealed, err := k.sealer.Seal(answer, entry.place())
	if err != nil {
		return err
	}
	_, err = k.pool.Exec(context.WithoutCancel(ctx), keepIdempotencyAnswer, entry.client.UUID, entry.key[:], sealed, entry.holder)
	return unavailable("keep idempotent answer", err)
}

const releaseIdempotencyKey = `
DELETE FROM idempotency_keys WHERE client = $1 AND key = $2 AND holder = $3 AND answer IS NULL`

func (k *IdempotencyKeys) release(ctx context.Context, entry idempotencyEntry) error {
	_, err := k.pool.Exec(context.WithoutCancel(ctx), releaseIdempotencyKey, entry.client.UUID, entry.key[:], entry.holder)
	return unavailable("release idempotency key", err)
}

const lapseIdempotencyLease = `
UPDATE idempotency_keys SET lease_until = now() - interval '1 millisecond' WHERE client = $1 AND key = $2 AND holder = $3 AND answer IS NULL`

// lapse lets the next one with the same request have a turn at once.
func (k *IdempotencyKeys) lapse(ctx context.Context, entry idempotencyEntry) error {
	_, err := k.pool.Exec(context.WithoutCancel(ctx), lapseIdempotencyLease, entry.client.UUID, entry.key[:], entry.holder)
	return unavailable("give up the turn at an idempotency key", err)
}

func (e idempotencyEntry) place() []byte {
	return append([]byte("idempotency/"+e.client.String()+"/"), e.key[:]...)
}

// Prune deletes keys that are no longer kept. Call it now and then.
func (k *IdempotencyKeys) Prune(ctx context.Context) error {
	_, err := k.pool.Exec(ctx, `DELETE FROM idempotency_keys WHERE created_at < now() - $1::interval`, idempotencyKept)
	return unavailable("prune idempotency keys", err)
}

func unavailable(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w: %w", operation, eventstore.ErrUnavailable, err)
}
