package esdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
)

// maxWrite is how large an append may be. The server's own bound is one MiB.
const maxWrite = 1<<20 - 4<<10

// errStale: what is remembered of the stream does not do for a decision.
var errStale = errors.New("the stream has to be looked at")

// decision is an append in the making: checked and sealed on what its stream is now.
type decision struct {
	store    *Store
	ctx      context.Context
	conn     wire.Conn
	stream   string
	expected eventstore.ExpectedRevision
	drafts   []eventstore.Draft
	fresh    bool // at was read for this decision

	at  head                           // of the stream, with the rows
	met map[uuid.UUID]eventstore.Event // that have been looked for

	rows      []eventstore.Event // to write
	proposals []wire.Proposal    // the rows as they go to the server

	result  eventstore.Appended
	refused error // whatever the server says
}

// begin finds the head of the stream, and whether it is to be written to.
func (d *decision) begin() error {
	d.met = make(map[uuid.UUID]eventstore.Event)
	barred, vouched := d.store.barred.is(d.stream)
	if !d.fresh && d.remembered() {
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
func (d *decision) remembered() bool {
	at, known := d.store.heads.get(d.stream)
	if d.at = at; !known {
		d.at.revision = -1
	}
	return known || !d.expected.IsAny() && d.expected.Revision() < 0
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

// decide takes the append for made before, refuses it, or seals its rows.
func (d *decision) decide() error {
	if err := d.look(); err != nil {
		return err
	}
	first, repeated, err := eventstore.Admit(d.stream, d.at.revision, d.expected, d.drafts, func(id uuid.UUID) (eventstore.Event, bool) {
		e, ok := d.met[id]
		return e, ok
	})
	if repeated || err != nil {
		d.result, d.refused = first, err
		return nil
	}
	d.refused = d.seal()
	return nil
}

// seal makes the rows. The error says why the append cannot be made.
func (d *decision) seal() error {
	at, total := d.at, 0
	rows, proposals := make([]eventstore.Event, 0, len(d.drafts)), make([]wire.Proposal, 0, len(d.drafts))
	for i := range d.drafts {
		e, err := eventstore.SealEvent(d.drafts[i], d.stream, at.revision+1, at.hash)
		if err != nil {
			return err
		}
		proposed, err := proposal(&e)
		if err != nil {
			return err
		}
		at = head{e.Revision, e.Hash}
		rows, proposals = append(rows, e), append(proposals, proposed)
		total += size(&proposed)
	}
	if total > maxWrite {
		return fmt.Errorf("%w: %d bytes in one append, the server takes %d", eventstore.ErrTooLarge, total, maxWrite)
	}
	d.at, d.rows, d.proposals = at, rows, proposals
	d.result = eventstore.Appended{Revision: at.revision, Hash: at.hash}
	return nil
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
	for i := range d.rows {
		d.result.Positions = append(d.result.Positions, d.rows[i].Position)
	}
	return nil
}
