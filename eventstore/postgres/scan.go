package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/eventstore"
)

const eventColumns = `e.position, e.stream, e.revision, e.id, e.type, e.organization_id, e.recorded_at, e.record, e.hash`

const (
	// Positions are dense, so a range of them is a bound on the rows.
	selectRange = `SELECT ` + eventColumns + ` FROM events e
		WHERE position > $1 AND position <= $2 ORDER BY position`

	selectRangeOfTypes = `SELECT ` + eventColumns + ` FROM events e
		WHERE position > $1 AND position <= $2 AND type = ANY($3::text[]) ORDER BY position LIMIT $4`

	// Goes by the partial index, type by type, so that rare types are found
	// among millions of others without passing those.
	selectRareTypes = `SELECT ` + eventColumns + ` FROM (
			SELECT p.position FROM unnest($3::text[]) AS t(type) CROSS JOIN LATERAL (
				SELECT position FROM events WHERE type = t.type AND type <> 'token.issued' AND type <> 'auth.failed'
				AND position > $1 AND position <= $2 ORDER BY position LIMIT $4) p
			ORDER BY p.position LIMIT $4) w
		JOIN events e ON e.position = w.position ORDER BY e.position`

	// Goes by the index of organizations, whatever the planner thinks of how
	// many events each has: compared as pairs, nothing else has this order.
	ofOrganization = `SELECT ` + eventColumns + ` FROM events e
		WHERE (organization_id, position) > ($4::uuid, $1::bigint) AND (organization_id, position) <= ($4, $2::bigint)
		AND ($3::text[] = '{}' OR type = ANY($3))
		AND ($5::timestamptz IS NULL OR recorded_at >= $5)
		AND ($6::timestamptz IS NULL OR recorded_at <= $6)`

	selectOfOrganization       = ofOrganization + ` ORDER BY organization_id, position LIMIT $7`
	selectNewestOfOrganization = ofOrganization + ` ORDER BY organization_id DESC, position DESC LIMIT $7`

	rangeOf = `SELECT ` + eventColumns + ` FROM events e
		WHERE position > $1 AND position <= $2
		AND ($3::text[] = '{}' OR type = ANY($3))
		AND ($4::timestamptz IS NULL OR recorded_at >= $4)
		AND ($5::timestamptz IS NULL OR recorded_at <= $5)`

	selectRangeOf  = rangeOf + ` ORDER BY position LIMIT $6`
	selectNewestOf = rangeOf + ` ORDER BY position DESC LIMIT $6`
)

// sparseWindow is how many positions one page looks at for events that may be
// few and far between and that no index finds.
const sparseWindow = 20_000

// scan reads the ledger in pages, for one filter.
type scan struct {
	filter eventstore.Filter
	types  []string // of the filter: sorted, each once; empty for all
	rare   bool     // none of the types is one that the partial index omits
	typed  bool     // the filter asks for nothing but types
}

func newScan(filter eventstore.Filter) scan {
	types := slices.Compact(slices.Sorted(slices.Values(filter.Types)))
	common := slices.Contains(types, "token.issued") || slices.Contains(types, "auth.failed")
	typed := filter.Organization == uuid.Nil && filter.From.IsZero() && filter.To.IsZero()
	return scan{filter: filter, types: types, rare: !common, typed: typed}
}

// page reads at most limit events after a position, none beyond upTo, which the
// ledger has reached. All that pass up to the position through have been read. It
// is an [*eventstore.LostError] where the ledger ends before that by now: it was
// put back to an earlier state, and what was not there would be taken for read.
func (s scan) page(ctx context.Context, pool *pgxpool.Pool, after, upTo eventstore.Position, limit int) (events []eventstore.Event, through eventstore.Position, err error) {
	switch {
	case s.filter.Organization != uuid.Nil:
		through = upTo
		events, err = s.ofOrganization(ctx, pool, selectOfOrganization, after, through, limit)
	case !s.typed:
		through = min(upTo, after+sparseWindow)
		events, err = s.of(ctx, pool, selectRangeOf, after, through, limit)
	case len(s.types) == 0:
		through = min(upTo, after+eventstore.Position(limit))
		events, err = query(ctx, pool, limit, selectRange, int64(after), int64(through))
		if err == nil && (len(events) == 0 || events[len(events)-1].Position != through) { // somebody took it away, or it is no more
			events, err = queryUpTo(ctx, pool, through, selectRange, int64(after), int64(through))
		}
		return events, through, err
	case s.rare:
		through = upTo
		events, err = queryUpTo(ctx, pool, through, selectRareTypes, int64(after), int64(through), s.types, limit)
	default:
		through = min(upTo, after+sparseWindow)
		events, err = queryUpTo(ctx, pool, through, selectRangeOfTypes, int64(after), int64(through), s.types, limit)
	}
	if len(events) == limit {
		through = events[limit-1].Position
	}
	return events, through, err
}

// ofOrganization reads what passes the whole filter, of one organization.
func (s scan) ofOrganization(ctx context.Context, pool *pgxpool.Pool, sql string, after, through eventstore.Position, limit int) ([]eventstore.Event, error) {
	return queryUpTo(ctx, pool, through, sql, int64(after), int64(through), s.typesOrNone(),
		s.filter.Organization, orNull(s.filter.From), orNull(s.filter.To), limit)
}

// of reads what passes the whole filter, of all organizations.
func (s scan) of(ctx context.Context, pool *pgxpool.Pool, sql string, after, through eventstore.Position, limit int) ([]eventstore.Event, error) {
	return queryUpTo(ctx, pool, through, sql, int64(after), int64(through), s.typesOrNone(),
		orNull(s.filter.From), orNull(s.filter.To), limit)
}

func (s scan) typesOrNone() []string {
	if s.types == nil {
		return []string{}
	}
	return s.types
}

// orNull is nil for a zero value.
func orNull[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}

// query reads events; what names their columns in order is eventColumns.
func query(ctx context.Context, pool *pgxpool.Pool, expect int, sql string, args ...any) ([]eventstore.Event, error) {
	events := make([]eventstore.Event, 0, expect)
	names := interned{}
	err := eachRow(ctx, pool, sql, args, func(row [][]byte) error {
		e, err := names.event(row)
		events = append(events, e)
		return err
	})
	return events, err
}

// queryUpTo is query for what the ledger has up to a position, which it has to
// reach in the very state that was read. The head is one row, so the join keeps
// the order of what it is joined with.
func queryUpTo(ctx context.Context, pool *pgxpool.Pool, through eventstore.Position, sql string, args ...any) ([]eventstore.Event, error) {
	var events []eventstore.Event
	names := interned{}
	sql = `SELECT h.position, w.* FROM ledger_head h LEFT JOIN LATERAL (` + sql + `) w ON true`
	err := eachRow(ctx, pool, sql, args, func(row [][]byte) error {
		if len(row) < 2 || len(row[0]) != 8 {
			return errRow
		}
		if err := eventstore.CheckHead(through, eventstore.Position(binary.BigEndian.Uint64(row[0]))); err != nil {
			return err
		}
		if row[1] == nil {
			return nil // there are none
		}
		e, err := names.event(row[1:])
		events = append(events, e)
		return err
	})
	return events, err
}

// eachRow has rows looked at, in binary whatever the pool's default.
func eachRow(ctx context.Context, pool *pgxpool.Pool, sql string, args []any, look func(row [][]byte) error) error {
	args = append([]any{pgx.QueryExecModeCacheStatement, pgx.QueryResultFormats{pgx.BinaryFormatCode}}, args...)
	rows, err := pool.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := look(rows.RawValues()); err != nil {
			return err
		}
	}
	return rows.Err()
}

// interned makes one string of the names that come again and again in a page.
type interned map[string]string

func (n interned) string(b []byte) string {
	if s, ok := n[string(b)]; ok {
		return s
	}
	s := string(b)
	n[s] = s
	return s
}

var errRow = errors.New("a row of events is not in the expected format")

// microsecondsTo2000 is where PostgreSQL's time begins.
const microsecondsTo2000 int64 = 946684800 * 1e6

func (n interned) event(v [][]byte) (e eventstore.Event, err error) {
	if len(v) != 9 || len(v[0]) != 8 || len(v[2]) != 8 || len(v[3]) != 16 || (v[5] != nil && len(v[5]) != 16) ||
		len(v[6]) != 8 || len(v[8]) != len(e.Hash) {
		return e, errRow
	}
	e.Position = eventstore.Position(binary.BigEndian.Uint64(v[0]))
	e.Stream = n.string(v[1])
	e.Revision = int64(binary.BigEndian.Uint64(v[2]))
	copy(e.ID[:], v[3])
	e.Type = n.string(v[4])
	copy(e.Organization[:], v[5])
	e.RecordedAt = time.UnixMicro(int64(binary.BigEndian.Uint64(v[6])) + microsecondsTo2000).UTC()
	e.Record = append(make([]byte, 0, len(v[7])), v[7]...)
	copy(e.Hash[:], v[8])
	return e, nil
}
