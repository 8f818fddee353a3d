package projections

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
)

// derivation is a copy of a read model that is filled from the ledger beside
// the live tables. Its transactions have a search path on which the tables'
// names mean the copy, so what fills it is what fills the live ones.
type derivation struct {
	projection *Projection
	conn       *pgx.Conn // its own
	begin      pgx.TxOptions

	// save stores the place in the transaction that writes the rows; nil where
	// the copy does not outlive its session.
	save func(ctx context.Context, tx pgx.Tx, from, to eventstore.Position) error
	// moved is called after each transaction; may be nil.
	moved func(position eventstore.Position)

	position eventstore.Position // every wanted event up to here is in, and none after it
	newest   eventstore.Position // the last wanted event may be here, and is not after it
	events   int64               // written by this process
	err      error               // why a pass ended early for this one
}

// derivationTx is how the transactions of a derivation in a schema begin.
func derivationTx(schema string) pgx.TxOptions {
	return pgx.TxOptions{BeginQuery: follow.BeginRows + `; SET LOCAL search_path TO ` + schema + `, public`}
}

func newDerivation(p *Projection, conn *pgx.Conn, schema string) *derivation {
	return &derivation{projection: p, conn: conn, begin: derivationTx(schema)}
}

// write brings the copy to a position: the events are all that are wanted
// between it and where the copy is.
func (d *derivation) write(ctx context.Context, events []follow.Event, to eventstore.Position) error {
	return follow.Divide(events, to, func(events []follow.Event, to eventstore.Position) error {
		ctx, cancel := context.WithTimeout(ctx, follow.TxTimeout)
		defer cancel()
		err := pgx.BeginTxFunc(ctx, d.conn, d.begin, func(tx pgx.Tx) error {
			if err := d.apply(ctx, tx, events); err != nil {
				return err
			}
			if d.save == nil {
				return nil
			}
			return d.save(ctx, tx, d.position, to)
		})
		if err != nil {
			return err
		}
		d.took(events, to)
		return nil
	})
}

// took notes what a transaction has written, after its commit.
func (d *derivation) took(events []follow.Event, to eventstore.Position) {
	if len(events) > 0 {
		d.newest = events[len(events)-1].Position
		d.events += int64(len(events))
	}
	d.position = to
	if d.moved != nil {
		d.moved(to)
	}
}

// apply writes events that are all news to the copy. It is a [follow.PoisonError]
// when the fault is in one of them.
func (d *derivation) apply(ctx context.Context, tx pgx.Tx, events []follow.Event) error {
	step, apply := applySize, d.projection.Apply
	if bulk := d.projection.Bulk; bulk != nil {
		step, apply = max(len(events), 1), bulk.Apply
	}
	for some := range slices.Chunk(events, step) {
		if err := follow.Apply(ctx, tx, "derive "+d.projection.Name, apply, some); err != nil {
			return err
		}
	}
	return nil
}

// gap is how many events a derivation may make up for in the transaction that
// compares it with the live tables, or makes it live.
const gap = 2000

// errTooFar: the live tables are further ahead than that.
var errTooFar = errors.New("the live read model is too far ahead")

// missing reads what the live read model has, at its position, and the copy lacks.
func missing(ctx context.Context, store eventstore.Store, d *derivation, live eventstore.Position) (events []follow.Event, err error) {
	if live <= d.position {
		return nil, nil
	}
	for e, err := range store.ReadAll(ctx, d.position, follow.Filter(d.projection.Types)) {
		switch {
		case err != nil:
			return nil, err
		case e.Position > live:
			return events, nil
		case len(events) == gap:
			return nil, errTooFar
		}
		decoded, err := d.projection.decode(e)
		if err != nil {
			return nil, &follow.PoisonError{Position: e.Position, Cause: err}
		}
		events = append(events, decoded)
	}
	return events, nil
}
