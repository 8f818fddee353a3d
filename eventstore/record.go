package eventstore

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"sync"

	"github.com/google/uuid"
)

// Format names the one record format there is.
const Format = "agentidp.event/1"

// MaxRecordSize bounds the bytes of a record.
const MaxRecordSize = 60 << 10

// Record is a decoded record.
type Record struct {
	Draft
	Stream   string
	Revision int64
	Prev     Hash
}

// Seal gives a draft its place in a stream and freezes it.
//
// The record is one JSON object: keys in the order
//
//	format, id, stream, revision, type, schema, organization, actor{kind, id},
//	time, request{id, ip, agent}, causation, data, prev
//
// with no white space between tokens. An organization or causation of uuid.Nil
// and a zero request are null; time is in UTC with six fractional digits; data
// is the draft's, white space between its tokens removed and nothing else
// changed. Strings of the envelope are escaped as in RFC 8785 section 3.2.2.2:
// only the quote, the backslash and control characters below U+0020 (\b \t \n
// \f \r by letter, the others as \u00xx in lower case); all else is plain UTF-8.
//
// The error is [ErrInvalidDraft], naming what is missing, or [ErrTooLarge].
func Seal(draft Draft, stream string, revision int64, prev Hash) (record []byte, hash Hash, err error) {
	if err := check(&draft, stream, revision); err != nil {
		return nil, Hash{}, err
	}
	record, err = appendRecord(make([]byte, 0, sizeHint(&draft, stream)), &draft, stream, revision, &prev)
	if err != nil {
		return nil, Hash{}, err
	}
	return record, HashOf(record), nil
}

// DecodeRecord reads the bytes that [Seal] made. Bytes that Seal would not
// have produced are [ErrMalformedRecord]. The result shares no memory with
// the record but Data, which is a part of it and not to be modified.
func DecodeRecord(record []byte) (Record, error) {
	if len(record) > MaxRecordSize {
		return Record{}, fmt.Errorf("%w: %d bytes exceed %d", ErrMalformedRecord, len(record), MaxRecordSize)
	}
	decoded, ok := parseRecord(record)
	if !ok {
		return Record{}, fmt.Errorf("%w: not in the shape of %s", ErrMalformedRecord, Format)
	}
	if err := check(&decoded.Draft, decoded.Stream, decoded.Revision); err != nil {
		return Record{}, fmt.Errorf("%w: %s", ErrMalformedRecord, err.Error()) // no fault of a caller, so nothing else to match
	}
	// The parser is lenient where that is shorter (upper-case ids, odd escapes,
	// numbers with leading zeros): comparing with what Seal makes of the result
	// is what makes decoding strict.
	scratch := scratchPool.Get().(*[]byte)
	defer scratchPool.Put(scratch)
	again, err := appendRecord((*scratch)[:0], &decoded.Draft, decoded.Stream, decoded.Revision, &decoded.Prev)
	if err != nil || !bytes.Equal(again, record) {
		return Record{}, fmt.Errorf("%w: not written as %s prescribes", ErrMalformedRecord, Format)
	}
	*scratch = again
	return decoded, nil
}

var scratchPool = sync.Pool{New: func() any { b := make([]byte, 0, 2<<10); return &b }}

// sizeHint is a little more than most records of a draft need, so that
// sealing allocates once.
func sizeHint(d *Draft, stream string) int {
	const fixed = 512 // keys, ids, time and hash
	return fixed + len(stream) + len(d.Type) + len(d.Actor.ID) +
		len(d.Request.ID) + len(d.Request.IP) + len(d.Request.Agent) + len(d.Data)
}

func appendRecord(b []byte, d *Draft, stream string, revision int64, prev *Hash) ([]byte, error) {
	start := len(b)
	b = append(b, keyFormatAndID...)
	b = appendUUID(b, d.ID)
	b = append(b, keyStream...)
	b = appendString(b, stream)
	b = append(b, keyRevision...)
	b = strconv.AppendInt(b, revision, 10)
	b = append(b, keyType...)
	b = appendString(b, d.Type)
	b = append(b, keySchema...)
	b = strconv.AppendInt(b, int64(d.Schema), 10)
	b = append(b, keyOrganization...)
	b = appendOptionalUUID(b, d.Organization)
	b = append(b, keyActorKind...)
	b = appendString(b, d.Actor.Kind)
	b = append(b, keyActorID...)
	b = appendString(b, d.Actor.ID)
	b = append(b, keyTime...)
	b = appendTime(b, d.Time)
	if d.Request == (Request{}) {
		b = append(b, keyNoRequest...)
	} else {
		b = append(b, keyRequestID...)
		b = appendString(b, d.Request.ID)
		b = append(b, keyRequestIP...)
		b = appendString(b, d.Request.IP)
		b = append(b, keyRequestAgent...)
		b = appendString(b, d.Request.Agent)
		b = append(b, '}')
	}
	b = append(b, keyCausation...)
	b = appendOptionalUUID(b, d.Causation)
	b = append(b, keyData...)
	b, ok := appendCompactObject(b, d.Data)
	if !ok {
		return nil, fmt.Errorf("%w: data must be a JSON object", ErrInvalidDraft)
	}
	b = append(b, keyPrev...)
	b = hex.AppendEncode(b, prev[:])
	b = append(b, recordEnd...)
	if size := len(b) - start; size > MaxRecordSize {
		return nil, fmt.Errorf("%w: a record of %d bytes exceeds %d", ErrTooLarge, size, MaxRecordSize)
	}
	return b, nil
}

// What stands between the values of a record, closing quotes of the value
// before included where that value is always a string of fixed form.
const (
	keyFormatAndID  = `{"format":"` + Format + `","id":"`
	keyStream       = `","stream":`
	keyRevision     = `,"revision":`
	keyType         = `,"type":`
	keySchema       = `,"schema":`
	keyOrganization = `,"organization":`
	keyActorKind    = `,"actor":{"kind":`
	keyActorID      = `,"id":`
	keyTime         = `},"time":"`
	keyRequest      = `","request":`
	keyNoRequest    = keyRequest + `null`
	keyRequestID    = keyRequest + `{"id":`
	keyRequestIP    = `,"ip":`
	keyRequestAgent = `,"agent":`
	keyCausation    = `,"causation":`
	keyData         = `,"data":`
	keyPrev         = `,"prev":"`
	recordEnd       = `"}`

	// suffixLen is the fixed length of `,"prev":"<64 digits>"}`.
	suffixLen = len(keyPrev) + 2*len(Hash{}) + len(recordEnd)
)

// parseRecord reads the shape of a record. It accepts more than Seal writes.
func parseRecord(record []byte) (r Record, ok bool) {
	if len(record) < suffixLen {
		return r, false
	}
	body, suffix := record[:len(record)-suffixLen], record[len(record)-suffixLen:]
	c := cursor{rest: suffix}
	c.literal(keyPrev)
	c.hash(&r.Prev)
	c.literal(recordEnd)
	if c.failed {
		return r, false
	}
	c = cursor{rest: body}
	c.literal(keyFormatAndID)
	r.ID = c.uuid()
	c.literal(keyStream)
	r.Stream = c.string()
	c.literal(keyRevision)
	r.Revision = c.integer()
	c.literal(keyType)
	r.Type = c.string()
	c.literal(keySchema)
	r.Schema = int(c.integer())
	c.literal(keyOrganization)
	r.Organization = c.optionalUUID()
	c.literal(keyActorKind)
	r.Actor.Kind = c.string()
	c.literal(keyActorID)
	r.Actor.ID = c.string()
	c.literal(keyTime)
	r.Time = c.time()
	if !c.accept(keyNoRequest) {
		c.literal(keyRequestID)
		r.Request.ID = c.string()
		c.literal(keyRequestIP)
		r.Request.IP = c.string()
		c.literal(keyRequestAgent)
		r.Request.Agent = c.string()
		c.literal("}")
	}
	c.literal(keyCausation)
	r.Causation = c.optionalUUID()
	c.literal(keyData)
	r.Data = c.rest
	return r, !c.failed
}

func appendOptionalUUID(b []byte, id uuid.UUID) []byte {
	if id == uuid.Nil {
		return append(b, "null"...)
	}
	b = append(b, '"')
	b = appendUUID(b, id)
	return append(b, '"')
}

func appendUUID(b []byte, id uuid.UUID) []byte {
	b = hex.AppendEncode(b, id[0:4])
	b = append(b, '-')
	b = hex.AppendEncode(b, id[4:6])
	b = append(b, '-')
	b = hex.AppendEncode(b, id[6:8])
	b = append(b, '-')
	b = hex.AppendEncode(b, id[8:10])
	b = append(b, '-')
	return hex.AppendEncode(b, id[10:16])
}
