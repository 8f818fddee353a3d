package transparency

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/pg"
)

var (
	// ErrNotLogged: the log does not have that yet, or never will.
	ErrNotLogged = errors.New("not in the log")
	// ErrNoCheckpoint: no such checkpoint has been signed.
	ErrNoCheckpoint = errors.New("there is no such checkpoint")
)

// Logs reads the logs. The error is [eventstore.ErrUnavailable] when the
// database could not be asked. Reads of an organization's log are confined to
// it by row-level security. It is safe for concurrent use.
type Logs struct {
	pool   *pgxpool.Pool
	reader bool // the login only reads, see ForReader
}

// NewLogs reads through the server's pool.
func NewLogs(pool *pgxpool.Pool) *Logs { return &Logs{pool: pool} }

// ForReader reads as the login itself, which reads everything and may become
// neither of the server's roles.
func (l *Logs) ForReader() *Logs { return &Logs{pool: l.pool, reader: true} }

// State is a log as it is.
type State struct {
	*Tree
	Position eventstore.Position // of the newest event in it, 0 for an empty log
}

const selectLog = `SELECT size, edge, changed_position FROM transparency_logs WHERE organization_id = $1`

// State is the log at this moment, empty where there is none.
func (l *Logs) State(ctx context.Context, id uuid.UUID) (State, error) {
	state := State{Tree: &Tree{}}
	err := l.ask(ctx, id, selectLog, []any{id}, func(row pgx.CollectableRow) error {
		var size int64
		var edge []byte
		err := row.Scan(&size, &edge, &state.Position)
		if err == nil {
			state.Tree, err = RestoreTree(size, edge)
		}
		return err
	})
	return state, err
}

const selectEntries = `SELECT number, hashes FROM transparency_tiles
	WHERE organization_id = $1 AND level = 0 AND number BETWEEN $2 AND $3 ORDER BY number`

// Entries yields the entries from an index up to, not including, another one.
// The sequence ends with the first error; one that is not there is [ErrNotLogged].
func (l *Logs) Entries(ctx context.Context, id uuid.UUID, from, to int64) iter.Seq2[eventstore.Hash, error] {
	const tiles = 64 // at a time: half a megabyte
	return func(yield func(eventstore.Hash, error) bool) {
		for at := from; at < to; {
			first := at / tileWidth
			last := min(first+tiles-1, (to-1)/tileWidth)
			var page []byte
			err := l.ask(ctx, id, selectEntries, []any{id, first, last}, func(row pgx.CollectableRow) error {
				var number int64
				var hashes []byte
				if err := row.Scan(&number, &hashes); err != nil {
					return err
				}
				if int64(len(page)) != (number-first)*tileWidth*tlog.HashSize {
					return fmt.Errorf("%w: tile %d", ErrNotLogged, number-1)
				}
				page = append(page, hashes...)
				return nil
			})
			if err != nil {
				yield(eventstore.Hash{}, err)
				return
			}
			page = page[min(int64(len(page)), (at-first*tileWidth)*tlog.HashSize):]
			end := min(to, (last+1)*tileWidth)
			if int64(len(page)) < (end-at)*tlog.HashSize {
				yield(eventstore.Hash{}, fmt.Errorf("%w: entry %d", ErrNotLogged, at+int64(len(page))/tlog.HashSize))
				return
			}
			for ; at < end; at++ {
				if !yield(eventstore.Hash(page[:tlog.HashSize]), nil) {
					return
				}
				page = page[tlog.HashSize:]
			}
		}
	}
}

const selectTileOf = `SELECT number, hashes FROM transparency_tiles
	WHERE organization_id = $1 AND level = 0 AND first_position <= $2 ORDER BY first_position DESC LIMIT 1`

// Index is where in a log an event is.
func (l *Logs) Index(ctx context.Context, id uuid.UUID, position eventstore.Position, entry eventstore.Hash) (int64, error) {
	index := int64(-1)
	err := l.ask(ctx, id, selectTileOf, []any{id, int64(position)}, func(row pgx.CollectableRow) error {
		var number int64
		var hashes []byte
		if err := row.Scan(&number, &hashes); err != nil {
			return err
		}
		for i := 0; i+tlog.HashSize <= len(hashes); i += tlog.HashSize {
			if bytes.Equal(hashes[i:i+tlog.HashSize], entry[:]) {
				index = number*tileWidth + int64(i/tlog.HashSize)
			}
		}
		return nil
	})
	if err == nil && index < 0 {
		err = fmt.Errorf("%w: event at position %d", ErrNotLogged, position)
	}
	return index, err
}

// Root is the root hash that the log had when it was of a size.
func (l *Logs) Root(ctx context.Context, id uuid.UUID, size int64) (tlog.Hash, error) {
	return tlog.TreeHash(size, l.hashes(ctx, id))
}

// ProveInclusion proves that the entry at an index is in the tree of a size
// (RFC 6962 section 2.1.1).
func (l *Logs) ProveInclusion(ctx context.Context, id uuid.UUID, size, index int64) (tlog.RecordProof, error) {
	return tlog.ProveRecord(size, index, l.hashes(ctx, id))
}

// ProveConsistency proves that the tree of a size begins with that of a
// smaller size (RFC 6962 section 2.1.2).
func (l *Logs) ProveConsistency(ctx context.Context, id uuid.UUID, from, to int64) (tlog.TreeProof, error) {
	return tlog.ProveTree(to, from, l.hashes(ctx, id))
}

// enter takes on a role and an organization for the statements after it in a
// batch, which are one transaction.
const enter = `SELECT set_config('role', $1, true), set_config('agentidp.organization', $2, true)`

// keep writes what is not derived.
func keep(ctx context.Context, pool *pgxpool.Pool, write func(*pgx.Batch)) error {
	batch := &pgx.Batch{}
	batch.Queue(enter, "agentidp_projector", "")
	write(batch)
	return unavailable(pool.SendBatch(ctx, batch).Close())
}

// ask asks one question of the log of an organization, in the one round trip
// and with that organization's rights; of the log of the whole ledger as the
// projector, who sees all.
func (l *Logs) ask(ctx context.Context, id uuid.UUID, sql string, args []any, scan func(pgx.CollectableRow) error) error {
	batch := &pgx.Batch{}
	switch {
	case l.reader:
		batch.Queue(enter, "none", "")
	case id == Whole:
		batch.Queue(enter, "agentidp_projector", "")
	default:
		batch.Queue(enter, "agentidp_server", id.String())
	}
	batch.Queue(sql, args...).Query(func(rows pgx.Rows) error {
		_, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) { return struct{}{}, scan(row) })
		return err
	})
	return unavailable(l.pool.SendBatch(ctx, batch).Close())
}

// unavailable marks errors that a later try may outlast.
func unavailable(err error) error {
	switch {
	case !pg.Passing(err), errors.Is(err, ErrNotLogged), errors.Is(err, errTree),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return fmt.Errorf("%w: %w", eventstore.ErrUnavailable, err)
}
