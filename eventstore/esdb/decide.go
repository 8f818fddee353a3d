package esdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
)

// errStale: what is remembered of the stream does not do for a decision.
var errStale = errors.New("the stream has to be looked at")

// decision is one write in the making: the appends of a stream, checked and
// sealed one after another, each on what those before it make of the stream.
type decision struct {
	store  *Store
	ctx    context.Context
	conn   wire.Conn
	stream string
	fresh  bool // at was read for this decision

	at       head // of the stream, with the rows
	met      map[uuid.UUID]eventstore.Event
	outcomes []outcome // of the appends, in order

	rows      []eventstore.Event // to write
	proposals []wire.Proposal    // the rows as they go to the server
	size      int                // of the proposals
	owners    []int              // whose each row is: an index into outcomes
}

// begin finds the head of the stream, and whether it is to be written to.
func (d *decision) begin(first *pending) error {
	d.met = make(map[uuid.UUID]eventstore.Event)
	barred, vouched := d.store.barred.is(d.stream)
	if !d.fresh && d.remembered(first) {
		if barred || d.at.revision < 0 && !vouched {
			return d.store.inspect(d.ctx, d.conn, d.stream)
		}
		return nil
	}
	again := d.fresh
	d.fresh = true
	if vouched {
		err := d.find()
		if err == nil && again && d.at.revision < 0 { // and the server has refused to write to it as to a new one
			err = d.store.inspect(d.ctx, d.conn, d.stream)
		}
		return err
	}
	inspected := make(chan error, 1)
	go func() { inspected <- d.store.inspect(d.ctx, d.conn, d.stream) }()
	err := d.find()
	return cmp.Or(err, <-inspected)
}

// remembered takes the head as it was when the store last saw it. For an append that
// expects no stream none is taken for granted.
func (d *decision) remembered(first *pending) bool {
	at, known := d.store.heads.get(d.stream)
	if d.at = at; !known {
		d.at.revision = -1
	}
	return known || !first.expected.IsAny() && first.expected.Revision() < 0
}

// find asks for the head.
func (d *decision) find() error {
	d.at = head{revision: -1}
	newest, err := d.store.page(d.ctx, d.conn, d.stream, eventstore.End, eventstore.Backwards, 1)
	if err != nil || len(newest) == 0 {
		return err
	}
	e, ok := d.store.event(&newest[0])
	if !ok {
		return interfered(eventstore.ForeignEvent, d.stream, fmt.Sprintf("has an event at revision %d that is no event of the ledger", newest[0].Revision))
	}
	d.at = head{e.Revision, e.Hash}
	return nil
}

// decide adds the outcome of an append, and its rows if it has any. It does not
// fit when the write would become too large with it.
func (d *decision) decide(p *pending) (fits bool, err error) {
	if err := d.look(p); err != nil {
		return false, err
	}
	first, repeated, err := eventstore.Admit(d.stream, d.at.revision, p.expected, p.drafts, d.lookup)
	if repeated && slices.Contains(first.Positions, 0) {
		return false, nil // of what is in this write; the next one will know where
	}
	if repeated || err != nil {
		d.outcomes = append(d.outcomes, outcome{first, err})
		return true, nil
	}
	at, rows, proposals, size, err := d.seal(p)
	if err == nil && size > maxWrite {
		err = fmt.Errorf("%w: %d bytes in one append, the server takes %d", eventstore.ErrTooLarge, size, maxWrite)
	}
	if err != nil {
		d.outcomes = append(d.outcomes, outcome{err: err})
		return true, nil
	}
	if d.size+size > maxWrite {
		return false, nil
	}
	for i := range rows {
		d.met[rows[i].ID] = rows[i]
		d.owners = append(d.owners, len(d.outcomes))
	}
	d.rows, d.proposals = append(d.rows, rows...), append(d.proposals, proposals...)
	d.at, d.size = at, d.size+size
	d.outcomes = append(d.outcomes, outcome{result: eventstore.Appended{Revision: at.revision, Hash: at.hash}})
	return true, nil
}

func (d *decision) seal(p *pending) (at head, rows []eventstore.Event, proposals []wire.Proposal, total int, err error) {
	at = d.at
	for i := range p.drafts {
		e, err := eventstore.SealEvent(p.drafts[i], d.stream, at.revision+1, at.hash)
		if err != nil {
			return at, nil, nil, 0, err
		}
		proposed, err := proposal(&e)
		if err != nil {
			return at, nil, nil, 0, err
		}
		at = head{e.Revision, e.Hash}
		rows, proposals = append(rows, e), append(proposals, proposed)
		total += size(&proposed)
	}
	return at, rows, proposals, total, nil
}

// lookup finds an event among those of this write and those looked for.
func (d *decision) lookup(id uuid.UUID) (eventstore.Event, bool) {
	e, ok := d.met[id]
	return e, ok
}

// place gives the rows their positions. The server tells that of the last one,
// unless it takes the write for a repetition; several are read back.
func (d *decision) place(written wire.Position) error {
	if len(d.rows) == 1 && written.Commit > 0 && written.Commit <= math.MaxInt64 {
		d.rows[0].Position = eventstore.Position(written.Commit)
	} else {
		first := d.rows[0].Revision
		stored, err := d.store.page(d.ctx, d.conn, d.stream, first, eventstore.Forwards, len(d.rows))
		if err != nil {
			return err
		}
		if len(stored) != len(d.rows) {
			return errStale
		}
		for i, r := range stored {
			d.rows[i].Position = eventstore.Position(r.Position.Commit)
		}
	}
	for i, owner := range d.owners {
		result := &d.outcomes[owner].result
		result.Positions = append(result.Positions, d.rows[i].Position)
	}
	return nil
}
