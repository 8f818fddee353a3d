package transparency

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/eventstore"
)

// Signed is a checkpoint as it was signed.
type Signed struct {
	Checkpoint
	Log      uuid.UUID
	Position eventstore.Position // of the newest event in it
	Note     []byte              // with the cosignatures of witnesses there are
	SignedAt time.Time
}

const checkpointColumns = `c.organization_id, c.origin, c.size, c.root, c.position, c.signed_at, c.note || convert_to(coalesce((
		SELECT string_agg(w.line || E'\n', '' ORDER BY w.witness, w.key_hash) FROM checkpoint_cosignatures w
		WHERE (w.organization_id, w.origin, w.size) = (c.organization_id, c.origin, c.size)), ''), 'UTF8')`

const (
	selectNewest = `SELECT ` + checkpointColumns + ` FROM checkpoints c
		WHERE organization_id = $1 AND origin = $2 ORDER BY size DESC LIMIT 1`

	selectOfSize = `SELECT ` + checkpointColumns + ` FROM checkpoints c
		WHERE organization_id = $1 AND origin = $2 AND size = $3`

	selectCheckpoints = `SELECT ` + checkpointColumns + ` FROM checkpoints c WHERE organization_id = $1 ORDER BY size`

	insertCheckpoint = `INSERT INTO checkpoints (organization_id, origin, size, root, position, note, signed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (organization_id, origin, size) DO NOTHING`
)

// Newest is the newest checkpoint of a log under the name that it has,
// [ErrNoCheckpoint] where none was signed.
func (l *Logs) Newest(ctx context.Context, id uuid.UUID, origin string) (Signed, error) {
	return l.checkpoint(ctx, id, selectNewest, id, origin)
}

// Checkpoint is the one that was signed at a size, or [ErrNoCheckpoint].
func (l *Logs) Checkpoint(ctx context.Context, id uuid.UUID, origin string, size int64) (Signed, error) {
	return l.checkpoint(ctx, id, selectOfSize, id, origin, size)
}

func (l *Logs) checkpoint(ctx context.Context, id uuid.UUID, sql string, args ...any) (Signed, error) {
	found, err := l.checkpoints(ctx, id, sql, args...)
	if err == nil && len(found) == 0 {
		err = ErrNoCheckpoint
	}
	if err != nil {
		return Signed{}, err
	}
	return found[0], nil
}

// Checkpoints lists all that were signed of a log under whatever name, the
// smallest first.
func (l *Logs) Checkpoints(ctx context.Context, id uuid.UUID) ([]Signed, error) {
	return l.checkpoints(ctx, id, selectCheckpoints, id)
}

const selectSignedLogs = `SELECT DISTINCT organization_id FROM checkpoints`

// signedLogs are those that were ever signed.
func (l *Logs) signedLogs(ctx context.Context) (ids []uuid.UUID, err error) {
	err = l.ask(ctx, Whole, selectSignedLogs, nil, func(row pgx.CollectableRow) error {
		var id uuid.UUID
		err := row.Scan(&id)
		ids = append(ids, id)
		return err
	})
	return ids, err
}

func (l *Logs) checkpoints(ctx context.Context, id uuid.UUID, sql string, args ...any) (found []Signed, err error) {
	err = l.ask(ctx, id, sql, args, func(row pgx.CollectableRow) error {
		var s Signed
		var root []byte
		if err := row.Scan(&s.Log, &s.Origin, &s.Size, &root, &s.Position, &s.SignedAt, &s.Note); err != nil {
			return err
		}
		if len(root) != len(s.Root) {
			return errors.New("a stored root hash is not of 32 bytes")
		}
		copy(s.Root[:], root)
		found = append(found, s)
		return nil
	})
	return found, err
}
