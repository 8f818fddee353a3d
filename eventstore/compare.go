package eventstore

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// agrees reports that the record is what [DecodeRecord] accepts and says what
// the event's fields say. It writes how the record should begin and compares,
// which is several times faster than decoding. It is never wrong when it says
// yes, and has then put predecessor, schema and data into the reading; where it
// says no (it leaves escaped strings alone), [compare] decides.
func (i *Inspector) agrees(e *Event, r *Reading) bool {
	if len(e.Record) < suffixLen || len(e.Record) > MaxRecordSize || e.Revision < 0 ||
		e.ID == uuid.Nil || !validStream(e.Stream) || !validType(e.Type) || e.RecordedAt.IsZero() {
		return false
	}
	b := append(i.scratch[:0], keyFormatAndID...)
	b = appendUUID(b, e.ID)
	b = append(b, keyStream...)
	b = appendString(b, e.Stream)
	b = append(b, keyRevision...)
	b = strconv.AppendInt(b, e.Revision, 10)
	b = append(b, keyType...)
	b = appendString(b, e.Type)
	b = append(b, keySchema...)
	split := len(e.Record) - suffixLen
	at := cursor{rest: e.Record[:split]}
	at.bytes(b)
	schema := at.schema()

	b = append(b[:0], keyOrganization...)
	b = appendOptionalUUID(b, e.Organization)
	b = append(b, keyActorKind...)
	at.bytes(b)
	if !at.accept(`"agent"`) && !at.accept(`"system"`) {
		at.literal(`"anonymous"`)
	}
	at.literal(keyActorID)
	at.plain()
	at.literal(keyTime)
	b = appendTime(b[:0], e.RecordedAt)
	at.bytes(b)
	at.request()
	at.literal(keyCausation)
	if !at.accept("null") {
		b = appendOptionalUUID(b[:0], (&cursor{rest: at.rest}).optionalUUID())
		at.bytes(b)
	}
	at.literal(keyData)
	if at.failed {
		return false
	}
	data := at.rest
	b, valid := appendCompactObject(b[:0], data)
	i.scratch = b
	if !valid || len(b) != len(data) {
		return false
	}

	at = cursor{rest: e.Record[split:]}
	at.literal(keyPrev)
	digits := at.rest
	var prev Hash
	at.hash(&prev)
	at.literal(recordEnd)
	for _, d := range digits {
		if 'A' <= d && d <= 'F' {
			return false
		}
	}
	if !at.failed {
		r.prev, r.Schema, r.Data = prev, schema, data
	}
	return !at.failed
}

// bytes expects b.
func (c *cursor) bytes(b []byte) {
	if c.failed || !bytes.HasPrefix(c.rest, b) {
		c.failed = true
		return
	}
	c.rest = c.rest[len(b):]
}

// schema expects a number from 1 that is not absurdly large.
func (c *cursor) schema() (schema int) {
	n := 0
	for n < len(c.rest) && '0' <= c.rest[n] && c.rest[n] <= '9' {
		n++
	}
	digits := c.take(n)
	if n == 0 || n > 9 || c.failed || digits[0] == '0' {
		c.failed = true
		return 0
	}
	for _, d := range digits {
		schema = 10*schema + int(d-'0')
	}
	return schema
}

// plain expects a string without escapes, and reports whether it is empty.
func (c *cursor) plain() (empty bool) {
	raw := c.raw()
	if bytes.IndexByte(raw, '\\') >= 0 {
		c.failed = true
	}
	return len(raw) == len(`""`)
}

// request expects the caller's request, or that there was none.
func (c *cursor) request() {
	if c.accept(keyNoRequest) {
		return
	}
	c.literal(keyRequestID)
	empty := c.plain()
	c.literal(keyRequestIP)
	empty = c.plain() && empty
	c.literal(keyRequestAgent)
	empty = c.plain() && empty
	c.literal("}")
	if empty { // Seal writes null
		c.failed = true
	}
}

// compare decodes the record of an event and says how the event differs.
func compare(e *Event) (Record, *Break) {
	r, err := e.Decode()
	if err != nil {
		return r, &Break{Kind: BreakMalformed, Detail: err.Error()}
	}
	mismatch := func(field string, column, record any) (Record, *Break) {
		return r, &Break{Kind: BreakColumn, Detail: fmt.Sprintf("%s is %v, the record says %v", field, column, record)}
	}
	switch {
	case r.ID != e.ID:
		return mismatch("id", e.ID, r.ID)
	case r.Stream != e.Stream:
		return mismatch("stream", e.Stream, r.Stream)
	case r.Revision != e.Revision:
		return mismatch("revision", e.Revision, r.Revision)
	case r.Type != e.Type:
		return mismatch("type", e.Type, r.Type)
	case r.Organization != e.Organization:
		return mismatch("organization", e.Organization, r.Organization)
	case !r.Time.Equal(e.RecordedAt):
		return mismatch("time", e.RecordedAt.UTC().Format(time.RFC3339Nano), r.Time.Format(time.RFC3339Nano))
	}
	return r, nil
}
