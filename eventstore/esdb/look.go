package esdb

import (
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
)

// look finds the events that may decide about the append: those that have the
// ids of its own. Where one is known it reads where all of them would be: the index
// comes to know them one after another, and may know half of them now.
func (d *decision) look() error {
	for i := range d.drafts {
		if _, met := d.met[d.drafts[i].ID]; met {
			continue
		}
		if at, known := d.store.index.get(d.drafts[i].ID); known {
			first := max(0, at.revision-int64(i))
			if err := d.meet(at.stream, first, int(at.revision-first)+len(d.drafts)-i); err != nil {
				return err
			}
		}
	}
	switch {
	case d.expected.IsAny():
		// Appends of this store are in the index; others have been made before
		// the stream was looked at, and newer ones make the write fail.
		if !d.fresh && d.covered() {
			return nil
		}
		return d.search()
	case d.expected.Revision() == d.at.revision:
		return nil
	case !d.fresh:
		return errStale
	case d.expected.Revision() < d.at.revision:
		return d.meet(d.stream, d.expected.Revision()+1, len(d.drafts))
	}
	return nil
}

func (d *decision) covered() bool {
	for i := range d.drafts {
		if !d.store.index.covers(&d.drafts[i]) {
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
func (d *decision) search() error {
	wanted := make(map[uuid.UUID]bool, len(d.drafts))
	var since time.Time // nothing wanted has been recorded before
	for i := range d.drafts {
		wanted[d.drafts[i].ID] = true
		if made := madeAt(&d.drafts[i]); i == 0 || made.Before(since) {
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
				d.store.index.add(e) // the next decision may take the index for complete
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
