package esdb

import (
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
)

// look finds the events that may decide about an append: those that have the
// ids of its own. Where one is known it reads where all of them would be: the index
// comes to know them one after another, and may know half of them now.
func (d *decision) look(p *pending) error {
	for i := range p.drafts {
		if _, met := d.met[p.drafts[i].ID]; met {
			continue
		}
		if at, known := d.store.index.get(p.drafts[i].ID); known {
			first := max(0, at.revision-int64(i))
			if err := d.meet(at.stream, first, int(at.revision-first)+len(p.drafts)-i); err != nil {
				return err
			}
		}
	}
	switch {
	case p.expected.IsAny():
		// Appends of this store are in the index; others have been made before
		// the stream was looked at, and newer ones make the write fail.
		if !d.fresh && d.covered(p) {
			return nil
		}
		return d.search(p)
	case p.expected.Revision() == d.at.revision:
		return nil
	case !d.fresh:
		return errStale
	case p.expected.Revision() < d.at.revision-int64(len(d.rows)):
		return d.meet(d.stream, p.expected.Revision()+1, len(p.drafts))
	}
	return nil
}

func (d *decision) covered(p *pending) bool {
	for i := range p.drafts {
		if !d.store.index.covers(&p.drafts[i]) {
			return false
		}
	}
	return true
}

// meet reads some events of a stream.
func (d *decision) meet(stream string, from int64, count int) error {
	page, err := d.store.page(d.ctx, d.conn, stream, from, eventstore.Forwards, count)
	if err != nil {
		return err
	}
	for i := range page {
		if e, ok := d.store.event(&page[i]); ok {
			d.met[e.ID] = e
		}
	}
	return nil
}

// search looks for the events of an append in its stream, from the newest back
// to those that are older than its ids.
func (d *decision) search(p *pending) error {
	wanted := make(map[uuid.UUID]bool, len(p.drafts))
	var since time.Time // nothing wanted has been recorded before
	for i := range p.drafts {
		wanted[p.drafts[i].ID] = true
		if made := madeAt(&p.drafts[i]); i == 0 || made.Before(since) {
			since = made
		}
	}
	at := eventstore.End
	for count := minPage; ; count = min(4*count, maxPage) {
		page, err := d.store.page(d.ctx, d.conn, d.stream, at, eventstore.Backwards, count)
		if err != nil {
			return err
		}
		for i := range page {
			e, ok := d.store.event(&page[i])
			if !ok {
				continue
			}
			if wanted[e.ID] {
				d.met[e.ID] = e
				d.store.index.add(e) // the next decision on this stream may not look
				delete(wanted, e.ID)
			}
			if len(wanted) == 0 || e.RecordedAt.Before(since.Add(-skew)) {
				return nil
			}
		}
		if len(page) < count || page[count-1].Revision == 0 {
			return nil
		}
		at = int64(page[count-1].Revision) - 1
	}
}
