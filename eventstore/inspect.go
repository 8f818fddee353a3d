package eventstore

import "fmt"

// Reading is what an event shows by itself, whatever came before it. Readings
// can be taken of many events at once, in any order; [Chain.Follow] puts them
// together.
type Reading struct {
	Hash   Hash   // of the record's bytes
	Schema int    // of the record's data
	Data   []byte // the record's, a part of its bytes where it was read without decoding; nil where it could not be read
	prev   Hash
	Stream StreamKey // that it is in
	broken *Break    // its place is left out
}

// Inspector takes readings of events. It keeps a buffer between them, so each
// goroutine has its own; the zero Inspector is good.
type Inspector struct{ scratch []byte }

// Inspect hashes the record and compares it with the event's other fields.
func (i *Inspector) Inspect(e *Event) Reading {
	r := Reading{Hash: HashOf(e.Record), Stream: KeyOf(e.Stream)}
	if r.Hash != e.Hash {
		r.broken = &Break{Kind: BreakAltered, Detail: fmt.Sprintf("the record hashes to %s, not %s", r.Hash, e.Hash)}
		return r
	}
	if !i.agrees(e, &r) {
		var record Record
		record, r.broken = compare(e)
		r.prev, r.Schema, r.Data = record.Prev, record.Schema, record.Data
	}
	return r
}

// Read makes an event of the bytes of a record, with its own hash, where there
// is nothing to compare it with: in an export, say. What is no record becomes an
// event that is broken, with ID, Stream and Revision where these can be read.
func (i *Inspector) Read(record []byte, position Position) (Event, Reading) {
	e := Event{Position: position, Record: record, Hash: HashOf(record)}
	r := Reading{Hash: e.Hash}
	decoded, err := DecodeRecord(record)
	if err != nil {
		r.broken = &Break{Kind: BreakMalformed, Detail: err.Error()}
		c := cursor{rest: record}
		c.literal(keyFormatAndID)
		id := c.uuid()
		c.literal(keyStream)
		stream := c.string()
		c.literal(keyRevision)
		if revision := c.integer(); !c.failed {
			e.ID, e.Stream, e.Revision, r.Stream = id, stream, revision, KeyOf(stream)
		}
		return e, r
	}
	e.Stream, e.Revision, e.ID, e.Type = decoded.Stream, decoded.Revision, decoded.ID, decoded.Type
	e.Organization, e.RecordedAt = decoded.Organization, decoded.Time
	r.prev, r.Stream = decoded.Prev, KeyOf(e.Stream)
	r.Schema, r.Data = decoded.Schema, decoded.Data
	return e, r
}
