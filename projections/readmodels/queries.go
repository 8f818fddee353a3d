package readmodels

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/pg"
)

// Queries asks the read models. Each question is one round trip and one
// transaction, confined to a tenant twice: by the query, and by row-level
// security. The error is [eventstore.ErrUnavailable] when the database could
// not be asked; others that match none of this package are the database's.
type Queries struct {
	pool   *pgxpool.Pool
	ledger eventstore.Store // nil where the ledger's table is in the same database
	reader bool             // the login only reads, see ForReader
}

// NewQueries asks through the server's pool.
func NewQueries(pool *pgxpool.Pool) *Queries { return &Queries{pool: pool} }

// WithLedger asks the same read models where the ledger is not beside them:
// what an event says is then read from the store.
func (q *Queries) WithLedger(store eventstore.Store) *Queries {
	return &Queries{pool: q.pool, ledger: store, reader: q.reader}
}

// ForReader asks as the login itself, which reads everything and may become
// neither of the server's roles: only the queries confine to a tenant.
func (q *Queries) ForReader() *Queries {
	return &Queries{pool: q.pool, ledger: q.ledger, reader: true}
}

func (q *Queries) role(t Tenant) string {
	if q.reader {
		return "none"
	}
	return t.role()
}

// Ping asks whether the database answers and takes writes.
func (q *Queries) Ping(ctx context.Context) error {
	var readOnly bool
	err := q.pool.QueryRow(ctx, `SELECT current_setting('transaction_read_only')::bool`).Scan(&readOnly)
	if err == nil && readOnly {
		err = ErrReadOnly
	}
	return err
}

// Tenant is whose rows a question is about. The zero Tenant has none.
type Tenant struct {
	organization domain.OrganizationID
	all          bool
}

// AllOrganizations is for the operator of the platform: rows of every
// organization, and those of none.
var AllOrganizations = Tenant{all: true}

// InOrganization is the tenant of one organization.
func InOrganization(id domain.OrganizationID) Tenant { return Tenant{organization: id} }

func (t Tenant) role() string {
	if t.all {
		return "agentidp_projector"
	}
	return "agentidp_server"
}

func (t Tenant) setting() string {
	if t.all || t.organization.IsZero() {
		return ""
	}
	return t.organization.String()
}

// What stands before each question, in the same implicit transaction. The role
// is named even where the session has it, so that a session with more rights
// does not see more.
const (
	enter = `SELECT set_config('role', $1, true), set_config('agentidp.organization', $2, true)`

	// enterToSearch is for questions whose best plan depends on what is asked.
	enterToSearch = `SELECT set_config('role', $1, true), set_config('agentidp.organization', $2, true),
		set_config('plan_cache_mode', 'force_custom_plan', true)`
)

// ask sends the statements of a batch that begins with enter.
func (q *Queries) ask(ctx context.Context, batch *pgx.Batch) error {
	if err := q.pool.SendBatch(ctx, batch).Close(); err != nil {
		if errors.Is(err, ErrNotFound) {
			return err
		}
		if !errors.Is(err, eventstore.ErrMalformedRecord) && pg.Passing(err) {
			err = fmt.Errorf("%w: %w", eventstore.ErrUnavailable, err)
		}
		return fmt.Errorf("ask the read model: %w", err)
	}
	return nil
}

type scanner[T any] func(pgx.CollectableRow) (T, error)

// shown is what readers see of a row.
func shown[T any](scan scanner[row[T]]) scanner[T] {
	return func(columns pgx.CollectableRow) (T, error) {
		r, err := scan(columns)
		return r.thing, err
	}
}

// one asks for a single row; none is [ErrNotFound].
func one[T any](ctx context.Context, q *Queries, tenant Tenant, scan scanner[T], sql string, args ...any) (found T, err error) {
	batch := &pgx.Batch{}
	batch.Queue(enter, q.role(tenant), tenant.setting())
	batch.Queue(sql, args...).Query(func(rows pgx.Rows) (err error) {
		found, err = pgx.CollectOneRow(rows, pgx.RowToFunc[T](scan))
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrNotFound
		}
		return err
	})
	return found, q.ask(ctx, batch)
}

// Page is a part of a list. Zero fields are the first page and 20 items.
type Page struct {
	Number int // from 1
	Limit  int // at most 100
}

const (
	defaultLimit = 20
	maxLimit     = 100
)

func (p Page) limit() int {
	if p.Limit <= 0 {
		return defaultLimit
	}
	return min(p.Limit, maxLimit)
}

func (p Page) offset() int64 { return int64(max(p.Number, 1)-1) * int64(p.limit()) }

// List is a page of items and how many there are in all.
type List[T any] struct {
	Items []T
	Total int
}

// list asks for a page and the total.
func list[T any](ctx context.Context, q *Queries, tenant Tenant, scan scanner[T], page Page, sql, count string, c conditions, order string) (found List[T], err error) {
	batch := &pgx.Batch{}
	batch.Queue(enterToSearch, q.role(tenant), tenant.setting())
	batch.Queue(count+c.where(), c.args...).QueryRow(func(row pgx.Row) error { return row.Scan(&found.Total) })
	n, args := len(c.args), append(slices.Clip(c.args), page.limit(), page.offset())
	limit := fmt.Sprintf(" LIMIT $%d OFFSET $%d", n+1, n+2)
	batch.Queue(sql+c.where()+order+limit, args...).Query(func(rows pgx.Rows) (err error) {
		found.Items, err = pgx.CollectRows(rows, pgx.RowToFunc[T](scan))
		return err
	})
	return found, q.ask(ctx, batch)
}

// conditions is a WHERE clause in the making.
type conditions struct {
	terms []string
	args  []any
}

// add takes a condition with a ? for each argument.
func (c *conditions) add(term string, args ...any) {
	for _, arg := range args {
		c.args = append(c.args, arg)
		term = strings.Replace(term, "?", "$"+strconv.Itoa(len(c.args)), 1)
	}
	c.terms = append(c.terms, term)
}

// tenant confines to the tenant's rows.
func (c *conditions) tenant(t Tenant, column string) {
	if !t.all {
		c.add(column+" = ?", t.organization.UUID)
	}
}

func (c *conditions) where() string {
	if len(c.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.terms, " AND ")
}
