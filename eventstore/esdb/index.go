package esdb

import (
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/sentryagent/agentidp/eventstore"
)

// head is the newest event of a stream.
type head struct {
	revision int64 // -1 for a stream without events
	hash     eventstore.Hash
}

// Bounds of what is remembered, at some 200 bytes each.
const (
	maxHeads = 1 << 16
	maxIDs   = 1 << 16
)

// heads remembers the newest events of streams. It may be behind, when others
// have appended: the server finds out.
type heads struct {
	mu    sync.Mutex // guards known
	known *simplelru.LRU[string, head]
}

func newHeads() *heads { return &heads{known: newLRU[string, head](maxHeads)} }

func newLRU[K comparable, V any](size int) *simplelru.LRU[K, V] {
	lru, err := simplelru.NewLRU[K, V](size, nil)
	if err != nil {
		panic(err) // only a size below one is refused
	}
	return lru
}

func (h *heads) get(stream string) (head, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.known.Get(stream)
}

func (h *heads) set(stream string, at head) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known.Add(stream, at)
}

func (h *heads) forget(stream string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known.Remove(stream)
}

// place is where an event is.
type place struct {
	stream   string
	revision int64
	recorded time.Time
}

// index remembers where the newest events of the whole ledger are, by id.
type index struct {
	mu     sync.Mutex // guards what follows
	known  *simplelru.LRU[uuid.UUID, place]
	seeded bool
	since  time.Time // events recorded after it are all known
}

func newIndex() *index { return &index{known: newLRU[uuid.UUID, place](maxIDs)} }

func (x *index) add(events ...eventstore.Event) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range events {
		e := &events[i]
		if x.known.Len() == maxIDs {
			if _, oldest, ok := x.known.RemoveOldest(); ok && oldest.recorded.After(x.since) {
				x.since = oldest.recorded
			}
		}
		x.known.Add(e.ID, place{e.Stream, e.Revision, e.RecordedAt})
	}
}

// seed says from when on all events are known.
func (x *index) seed(since time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.seeded, x.since = true, since
}

func (x *index) get(id uuid.UUID) (place, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.known.Peek(id)
}

// skew is how far apart the clocks of nodes may be.
const skew = time.Minute

// covers reports that the event of a draft, if it was appended before, is known: it
// was made within what the index remembers.
func (x *index) covers(d *eventstore.Draft) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.seeded && (x.since.IsZero() || madeAt(d).After(x.since.Add(skew)))
}

// madeAt is a time before which no event with the draft's id was recorded; zero where
// the id tells nothing. The id may be ahead of the draft's own time: ids never go back,
// and a clock that was set back does.
func madeAt(d *eventstore.Draft) time.Time {
	minted, ok := mintedAt(d.ID)
	switch {
	case !ok:
		return time.Time{}
	case d.Time.Before(minted):
		return d.Time
	}
	return minted
}

// mintedAt is the time in an id of version 7 (RFC 9562 section 5.7).
func mintedAt(id uuid.UUID) (time.Time, bool) {
	var ms int64
	for _, b := range id[:6] {
		ms = ms<<8 | int64(b)
	}
	return time.UnixMilli(ms), id.Version() == 7
}
