package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/eventstore"
)

// Snapshots keeps the states of long streams in PostgreSQL, so that loading an
// agent with a million tokens takes as long as one with ten. Saving happens
// beside the commands, in [Snapshots.Run]; what it cannot keep up with it
// leaves out.
//
// A state decides who gets a token, so it is believed only if it was sealed with
// our key, for that stream and that event of it. Whoever can write to the
// database can take a snapshot away or put an older one back, from which the
// events go on; that costs time and nothing else.
type Snapshots struct {
	pool   *pgxpool.Pool
	sealer Sealer
	logger *slog.Logger
	queue  chan snapshot
}

type snapshot struct {
	stream   string
	shape    string // names the JSON shape of state
	revision int64
	hash     eventstore.Hash // of the event at that revision
	state    []byte          // clear before it is written, sealed after it was loaded
}

// place is what a sealed state is bound to.
func (s *snapshot) place() []byte {
	return fmt.Appendf(nil, "snapshot/1 %q %q %d %x", s.stream, s.shape, s.revision, s.hash)
}

// sealedShape is how the column names a shape. Rows of the time when states
// were stored in the clear have the shape alone, and are never read.
func sealedShape(shape string) string { return shape + " sealed" }

// NewSnapshots keeps snapshots in the database of the pool.
func NewSnapshots(pool *pgxpool.Pool, sealer Sealer, logger *slog.Logger) *Snapshots {
	const backlog = 256
	return &Snapshots{pool: pool, sealer: sealer, logger: logger, queue: make(chan snapshot, backlog)}
}

// Run saves what comes until ctx ends, and then what is left, as long as that
// works.
func (s *Snapshots) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			for len(s.queue) > 0 && s.write(ctx, <-s.queue) == nil {
			}
			return
		case next := <-s.queue:
			_ = s.write(ctx, next) // it has been logged
		}
	}
}

func (s *Snapshots) save(next snapshot) {
	select {
	case s.queue <- next:
	default: // the next snapshot of this stream will do
	}
}

const upsertSnapshot = `
INSERT INTO snapshots (stream, shape, revision, hash, state, saved_at) VALUES ($1, $2, $3, $4, $5, now())
ON CONFLICT (stream) DO UPDATE
   SET shape = EXCLUDED.shape, revision = EXCLUDED.revision, hash = EXCLUDED.hash,
       state = EXCLUDED.state, saved_at = EXCLUDED.saved_at
 WHERE snapshots.shape <> EXCLUDED.shape OR snapshots.revision < EXCLUDED.revision`

// write saves a snapshot, whether or not ctx has ended, and logs why it did not.
func (s *Snapshots) write(ctx context.Context, next snapshot) error {
	const patience = 2 * time.Second // nothing depends on it
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	sealed, err := s.sealer.Seal(next.state, next.place())
	if err == nil {
		_, err = s.pool.Exec(within, upsertSnapshot, next.stream, sealedShape(next.shape), next.revision, next.hash[:], sealed)
	}
	if err != nil {
		s.logger.WarnContext(ctx, "snapshot not saved", "stream", next.stream, "error", err)
	}
	return err
}

const selectSnapshot = `SELECT revision, hash, state FROM snapshots WHERE stream = $1 AND shape = $2`

func (s *Snapshots) load(ctx context.Context, stream, shape string) (snapshot, bool, error) {
	found := snapshot{stream: stream, shape: shape}
	var hash []byte
	err := s.pool.QueryRow(ctx, selectSnapshot, stream, sealedShape(shape)).Scan(&found.revision, &hash, &found.state)
	if errors.Is(err, pgx.ErrNoRows) {
		return found, false, nil
	}
	if err != nil {
		return found, false, fmt.Errorf("load snapshot of %s: %w: %w", stream, eventstore.ErrUnavailable, err)
	}
	return found, copy(found.hash[:], hash) == len(found.hash), nil
}

// open gives the state of a snapshot that was loaded. The error is that it was
// not sealed with our key, or not for this place.
func (s *Snapshots) open(found *snapshot) ([]byte, error) {
	return s.sealer.Open(found.state, found.place())
}

const deleteSnapshot = `DELETE FROM snapshots WHERE stream = $1 AND revision = $2 AND hash = $3`

// drop deletes a snapshot, unless another has taken its place.
func (s *Snapshots) drop(ctx context.Context, stream string, revision int64, hash eventstore.Hash) error {
	_, err := s.pool.Exec(ctx, deleteSnapshot, stream, revision, hash[:])
	return err
}
