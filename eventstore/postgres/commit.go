package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sentryagent/agentidp/eventstore"
)

// channel is the notification channel: "<position> type1,type2" on each
// commit, the types "*" when there are many.
const channel = "agentidp_ledger"

// errOutcomeUnknown: the connection was lost when the commit may have happened.
var errOutcomeUnknown = errors.New("the outcome of the commit is unknown")

const (
	lockHead = `SELECT position FROM ledger_head FOR UPDATE`

	selectHeads = `SELECT s.stream, e.revision, e.hash FROM unnest($1::text[]) AS s(stream) CROSS JOIN LATERAL
		(SELECT revision, hash FROM events WHERE stream = s.stream ORDER BY revision DESC LIMIT 1) e`

	selectIDs = `SELECT id, stream, type, revision, position, hash FROM events WHERE id = ANY($1::uuid[])`

	selectSince = `SELECT stream, revision, hash FROM events WHERE position > $1 AND position <= $2 ORDER BY position`

	insertEvents = `INSERT INTO events (position, stream, revision, id, type, organization_id, recorded_at, record, hash)
		SELECT $1 + n, stream, revision, id, type, organization_id, recorded_at, record, hash
		FROM unnest($2::text[], $3::bigint[], $4::uuid[], $5::text[], $6::uuid[], $7::timestamptz[], $8::bytea[], $9::bytea[])
		WITH ORDINALITY AS e(stream, revision, id, type, organization_id, recorded_at, record, hash, n)`

	moveHead = `UPDATE ledger_head SET position = $1 WHERE position < $1`

	notify = `SELECT pg_notify('` + channel + `', $1)`
)

// maxCatchUp is how many events of other processes are read to bring the
// remembered heads up to date; beyond it they are forgotten.
const maxCatchUp = 4096

// attempt takes the head's lock, decides the group and commits it. On error
// nothing has been stored, unless it is errOutcomeUnknown. A connection that
// is no longer good is dropped.
func (w *writer) attempt(ctx context.Context, g *group) error {
	last, err := w.lock(ctx, g)
	if err != nil {
		return w.abandon(ctx, err)
	}
	for {
		unasked := g.decide(last)
		if len(unasked) == 0 {
			break
		}
		b := &pgx.Batch{}
		g.queueIDs(b, unasked)
		if err := w.conn.SendBatch(ctx, b).Close(); err != nil {
			return w.abandon(ctx, err)
		}
	}
	if len(g.rows) == 0 {
		// Nothing was written: ending the transaction only gives back the lock.
		if _, err := w.conn.Exec(ctx, "rollback"); err != nil {
			w.disconnect()
		}
		return nil
	}
	if err := w.insert(ctx, g, last); err != nil {
		return w.abandon(ctx, err)
	}
	for stream, at := range g.changed {
		w.heads.known.Add(stream, at)
	}
	w.heads.at = g.rows[len(g.rows)-1].Position
	w.store.Expect(w.heads.at)
	return nil
}

// lock begins the transaction, locks the ledger's head, and finds the heads of
// the group's streams: those not remembered are asked for in the same round trip.
func (w *writer) lock(ctx context.Context, g *group) (last eventstore.Position, err error) {
	g.heads = make(map[string]head, len(g.appends))
	g.asked = make(map[uuid.UUID]bool)
	g.stored = make(map[uuid.UUID]eventstore.Event)
	var unknown []string
	var ids []uuid.UUID
	for _, p := range g.appends {
		if g.checkIDs || p.expected.IsAny() {
			ids = append(ids, g.unasked(p)...)
		}
		if _, ok := g.heads[p.stream]; ok {
			continue
		}
		at, ok := w.heads.known.Get(p.stream)
		if !ok {
			at.revision = -1
			unknown = append(unknown, p.stream)
		}
		g.heads[p.stream] = at
	}
	known := w.store.Known()
	b := &pgx.Batch{}
	b.Queue("begin")
	b.Queue(lockHead).QueryRow(func(row pgx.Row) error { return row.Scan(&last) })
	if len(unknown) > 0 {
		g.queueHeads(b, selectHeads, unknown)
	}
	if len(ids) > 0 {
		g.queueIDs(b, ids)
	}
	if err := w.conn.SendBatch(ctx, b).Close(); err != nil {
		return 0, err
	}
	if err := eventstore.CheckHead(known, last); err != nil {
		return 0, err
	}
	if last != w.heads.at {
		if err := w.catchUp(ctx, g, last); err != nil {
			return 0, err
		}
	}
	return last, nil
}

// catchUp brings heads up to date after other processes have appended.
func (w *writer) catchUp(ctx context.Context, g *group, last eventstore.Position) error {
	b := &pgx.Batch{}
	if last > w.heads.at && last-w.heads.at <= maxCatchUp && w.heads.known.Len() > 0 {
		since := &group{heads: make(map[string]head)}
		since.queueHeads(b, selectSince, int64(w.heads.at), int64(last))
		if err := w.conn.SendBatch(ctx, b).Close(); err != nil {
			return err
		}
		for stream, at := range since.heads {
			if w.heads.known.Contains(stream) {
				w.heads.known.Add(stream, at)
			}
			if _, ok := g.heads[stream]; ok {
				g.heads[stream] = at
			}
		}
		w.heads.at = last
		return nil
	}
	if w.heads.known.Len() > 0 { // else all heads have just been asked for
		streams := make([]string, 0, len(g.heads))
		for stream := range g.heads {
			streams = append(streams, stream)
		}
		for _, stream := range streams {
			g.heads[stream] = head{revision: -1}
		}
		g.queueHeads(b, selectHeads, streams)
		if err := w.conn.SendBatch(ctx, b).Close(); err != nil {
			return err
		}
		w.heads.forget()
	}
	w.heads.at = last
	return nil
}

// queueHeads asks for stream heads; a later row of a stream counts.
func (g *group) queueHeads(b *pgx.Batch, query string, args ...any) {
	b.Queue(query, args...).Query(func(rows pgx.Rows) error {
		var stream string
		var at head
		var hash []byte
		_, err := pgx.ForEachRow(rows, []any{&stream, &at.revision, &hash}, func() error {
			copy(at.hash[:], hash)
			g.heads[stream] = at
			return nil
		})
		return err
	})
}

// queueIDs asks which events stand under some ids.
func (g *group) queueIDs(b *pgx.Batch, ids []uuid.UUID) {
	b.Queue(selectIDs, ids).Query(func(rows pgx.Rows) error {
		for _, id := range ids {
			g.asked[id] = true
		}
		var e eventstore.Event
		var hash []byte
		_, err := pgx.ForEachRow(rows, []any{&e.ID, &e.Stream, &e.Type, &e.Revision, &e.Position, &hash}, func() error {
			copy(e.Hash[:], hash)
			g.stored[e.ID] = e
			return nil
		})
		return err
	})
}

// insert stores the rows, moves the head, notifies and commits: in one round
// trip, or two with COPY. A trigger has moved the head with the rows already; the
// writer moves it in a database whose triggers are off.
func (w *writer) insert(ctx context.Context, g *group, last eventstore.Position) error {
	newest := g.rows[len(g.rows)-1].Position
	b := &pgx.Batch{}
	if len(g.rows) < copyFromRows {
		c := &w.columns
		c.fill(g.rows)
		b.Queue(insertEvents, int64(last), c.stream, c.revision, c.id, c.eventType, c.organization, c.recordedAt, c.record, c.hash)
	} else if err := w.copy(ctx, g.rows); err != nil {
		return err // nothing has been committed
	}
	b.Queue(moveHead, int64(newest))
	b.Queue(notify, strconv.FormatUint(uint64(newest), 10)+" "+g.types())
	committed := false
	b.Queue("commit").Exec(func(tag pgconn.CommandTag) error {
		committed = tag.String() == "COMMIT"
		return nil
	})
	err := w.conn.SendBatch(ctx, b).Close()
	var refused *pgconn.PgError
	switch {
	case err == nil && !committed:
		return errors.New("the transaction was rolled back")
	case err != nil && !errors.As(err, &refused), refused != nil && w.conn.IsClosed():
		return fmt.Errorf("%w: %w", errOutcomeUnknown, err)
	}
	return err
}

// abandon rolls back after an error, or drops a connection that cannot. What is
// remembered of streams goes too: should it have been wrong, it is not again.
func (w *writer) abandon(ctx context.Context, err error) error {
	w.heads.forget()
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || w.conn.IsClosed() {
		w.disconnect()
		return err
	}
	if _, rollback := w.conn.Exec(ctx, "rollback"); rollback != nil {
		w.disconnect()
	}
	return err
}

// columns are the rows of an insert, turned.
type columns struct {
	stream, eventType []string
	revision          []int64
	id, organization  []pgtype.UUID
	recordedAt        []time.Time
	record, hash      [][]byte
}

func (c *columns) fill(rows []eventstore.Event) {
	clear(c.record[:cap(c.record)])
	c.stream, c.eventType, c.revision = c.stream[:0], c.eventType[:0], c.revision[:0]
	c.id, c.organization, c.recordedAt = c.id[:0], c.organization[:0], c.recordedAt[:0]
	c.record, c.hash = c.record[:0], c.hash[:0]
	for i := range rows {
		e := &rows[i]
		c.stream = append(c.stream, e.Stream)
		c.eventType = append(c.eventType, e.Type)
		c.revision = append(c.revision, e.Revision)
		c.id = append(c.id, pgtype.UUID{Bytes: e.ID, Valid: true})
		c.organization = append(c.organization, pgtype.UUID{Bytes: e.Organization, Valid: e.Organization != uuid.Nil})
		c.recordedAt = append(c.recordedAt, e.RecordedAt)
		c.record = append(c.record, e.Record)
		c.hash = append(c.hash, e.Hash[:])
	}
}
