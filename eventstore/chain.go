package eventstore

import (
	"crypto/sha256"
	"fmt"

	"github.com/google/uuid"
)

// BreakKind says what is wrong with a chain.
type BreakKind string

const (
	// BreakAltered: the hash is not the hash of the record's bytes.
	BreakAltered BreakKind = "altered_record"
	// BreakMalformed: the bytes are no record.
	BreakMalformed BreakKind = "malformed_record"
	// BreakColumn: a field of the event says other than its record.
	BreakColumn BreakKind = "column_mismatch"
	// BreakLink: the record names another predecessor than the one it has.
	BreakLink BreakKind = "broken_link"
	// BreakMissing: a stream lacks revisions before this event.
	BreakMissing BreakKind = "missing_revision"
	// BreakRepeated: the stream has had this revision already.
	BreakRepeated BreakKind = "repeated_revision"
	// BreakGap: positions are missing before this event.
	BreakGap BreakKind = "position_gap"
	// BreakOrder: the position is not after that of the event before.
	BreakOrder BreakKind = "position_order"
)

// Break is where a chain does not hold, and why. It is an error.
type Break struct {
	Kind     BreakKind `json:"kind"`
	Position Position  `json:"position"`
	EventID  uuid.UUID `json:"eventId"`
	Stream   string    `json:"stream"`
	Revision int64     `json:"revision"`
	Detail   string    `json:"detail"`
}

func (b *Break) Error() string {
	return fmt.Sprintf("%s at position %d (event %s, revision %d of %s): %s",
		b.Kind, b.Position, b.EventID, b.Revision, b.Stream, b.Detail)
}

// ChainOptions says what a [Chain] may expect.
type ChainOptions struct {
	// After is the position that the first event comes after.
	After Position
	// Dense: positions count one by one, as those of the postgres and memory
	// engines do, so that a gap is a break.
	Dense bool
	// Midway: checking begins in the middle of the ledger, so the first event
	// seen of a stream is taken for its start, whatever its revision.
	Midway bool
}

// Chain verifies events that it is fed in ledger order. It keeps some 80
// bytes for each stream it has seen. It is not safe for concurrent use.
type Chain struct {
	options   ChainOptions
	last      Position
	count     int64
	streams   map[StreamKey]chainLink
	inspector Inspector
}

// StreamKey stands for a stream's name: half of its SHA-256, so that an entry
// has a fixed size.
type StreamKey [16]byte

type chainLink struct {
	revision int64
	hash     Hash
}

// NewChain begins a verification.
func NewChain(options ChainOptions) *Chain {
	return &Chain{options: options, last: options.After, streams: make(map[StreamKey]chainLink)}
}

// Seed tells where a stream stands before the first event that is checked.
// With every stream of interest seeded, a check from the middle misses nothing.
func (c *Chain) Seed(stream string, revision int64, hash Hash) {
	c.streams[KeyOf(stream)] = chainLink{revision: revision, hash: hash}
}

// Head is the newest event seen (or seeded) of a stream.
func (c *Chain) Head(stream string) (revision int64, hash Hash, ok bool) {
	link, ok := c.streams[KeyOf(stream)]
	return link.revision, link.hash, ok
}

// Streams is how many streams have been seen.
func (c *Chain) Streams() int { return len(c.streams) }

// Count is how many events have been checked.
func (c *Chain) Count() int64 { return c.count }

// Position is that of the event checked last.
func (c *Chain) Position() Position { return c.last }

// Check verifies one event: its hash, that its bytes are a record, that its
// other fields are those of the record, and that it continues its stream and
// the ledger. The error is a [*Break], the first that the event shows. The
// chain then goes on from that event, so that later breaks can be found too.
func (c *Chain) Check(e Event) error { return c.Follow(e, c.inspector.Inspect(&e)) }

// Follow is [Chain.Check] for an event that has been inspected already.
func (c *Chain) Follow(e Event, reading Reading) error {
	found := reading.broken
	if found == nil {
		found = c.checkPlace(&e, reading)
	}
	c.count++
	c.last = e.Position
	c.streams[reading.Stream] = chainLink{revision: e.Revision, hash: e.Hash}
	if found == nil {
		return nil
	}
	found.Position, found.EventID, found.Stream, found.Revision = e.Position, e.ID, e.Stream, e.Revision
	return found
}

func (c *Chain) checkPlace(e *Event, reading Reading) *Break {
	if found := c.checkPosition(e.Position); found != nil {
		return found
	}
	return c.checkLink(e, reading)
}

func (c *Chain) checkPosition(position Position) *Break {
	switch {
	case position <= c.last:
		return &Break{Kind: BreakOrder, Detail: fmt.Sprintf("it comes after position %d", c.last)}
	case c.options.Dense && position != c.last+1:
		return &Break{Kind: BreakGap, Detail: fmt.Sprintf("%d positions are missing after %d", position-c.last-1, c.last)}
	}
	return nil
}

func (c *Chain) checkLink(e *Event, reading Reading) *Break {
	link, seen := c.streams[reading.Stream]
	if !seen {
		if c.options.Midway {
			return nil
		}
		link.revision = -1
	}
	switch {
	case e.Revision > link.revision+1:
		return &Break{Kind: BreakMissing, Detail: fmt.Sprintf("revision %d should come next", link.revision+1)}
	case e.Revision <= link.revision:
		return &Break{Kind: BreakRepeated, Detail: fmt.Sprintf("revision %d should come next", link.revision+1)}
	case reading.prev != link.hash:
		return &Break{Kind: BreakLink, Detail: fmt.Sprintf("it names %s as its predecessor, which hashes to %s", reading.prev, link.hash)}
	}
	return nil
}

// KeyOf is the key of a stream.
func KeyOf(stream string) (key StreamKey) {
	var buffer [maxStreamLen]byte
	sum := sha256.Sum256(append(buffer[:0], stream...))
	copy(key[:], sum[:])
	return key
}
