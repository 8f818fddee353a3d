// Package codec decodes the events that an EventStoreDB sends, faster than the
// client library has it done.
//
// Reading a ledger is mostly decoding its events. The library has that done by
// reflection, into some twenty pieces of memory for each event, and lets nobody
// choose another codec. So the codec of this process decodes the one message that
// all events come in by hand, and leaves every other one, and every event that has
// something unexpected in it, to the codec that it stands before.
package codec

import (
	"bytes"
	"encoding/binary"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec that is stood before
	"google.golang.org/grpc/mem"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	api "github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
)

func init() { encoding.RegisterCodecV2(eventCodec{encoding.GetCodecV2("proto")}) }

type eventCodec struct{ encoding.CodecV2 }

// Unmarshal implements [encoding.CodecV2].
func (c eventCodec) Unmarshal(data mem.BufferSlice, v any) error {
	response, is := v.(*api.ReadResp)
	if !is {
		return c.CodecV2.Unmarshal(data, v)
	}
	buffer := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buffer.Free()
	if decodeEvent(buffer.ReadOnlyData(), response) {
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}

// decoded is what an event is decoded into, in one piece of memory.
type decoded struct {
	content    api.ReadResp_Event
	read       api.ReadResp_ReadEvent
	position   api.ReadResp_ReadEvent_CommitPosition
	event      api.ReadResp_ReadEvent_RecordedEvent
	id         shared.UUID
	value      shared.UUID_Structured_
	structured shared.UUID_Structured
	stream     shared.StreamIdentifier
}

// decodeEvent decodes a response that is an event and nothing else. It is false, and
// the response is as it was, when there is anything that it does not know.
func decodeEvent(message []byte, into *api.ReadResp) bool {
	f := fields{rest: message}
	if f.next() != lengthOf(1) || len(f.rest) > 0 {
		return false
	}
	d, read := &decoded{}, fields{rest: f.bytes}
	for len(read.rest) > 0 {
		switch read.next() {
		case lengthOf(1):
			if d.read.GetEvent() != nil || !d.decode(read.bytes) {
				return false
			}
			d.read.Event = &d.event
		case numberOf(3):
			d.position.CommitPosition = read.number
			d.read.Position = &d.position
		default:
			return false
		}
	}
	if d.read.GetEvent() == nil {
		return false
	}
	d.content.Event = &d.read
	into.Reset()
	into.Content = &d.content
	return true
}

// decode decodes a RecordedEvent. The message is there no longer than the call.
func (d *decoded) decode(message []byte) bool {
	e := &d.event
	for f := (fields{rest: message}); len(f.rest) > 0; {
		switch f.next() {
		case lengthOf(1):
			if e.GetId() != nil || !d.decodeID(f.bytes) {
				return false
			}
			e.Id = &d.id
		case lengthOf(2):
			name := fields{rest: f.bytes}
			if e.GetStreamIdentifier() != nil || name.next() != lengthOf(3) || len(name.rest) > 0 {
				return false
			}
			d.stream.StreamName = bytes.Clone(name.bytes)
			e.StreamIdentifier = &d.stream
		case numberOf(3):
			e.StreamRevision = f.number
		case numberOf(4):
			e.PreparePosition = f.number
		case numberOf(5):
			e.CommitPosition = f.number
		case lengthOf(6):
			if e.Metadata == nil {
				e.Metadata = make(map[string]string, 3)
			}
			entry := fields{rest: f.bytes}
			if entry.next() != lengthOf(1) {
				return false
			}
			key := entry.bytes
			if entry.next() != lengthOf(2) || len(entry.rest) > 0 {
				return false
			}
			text, plain := plainText(key), plainText(entry.bytes)
			if text == "" || plain == "" {
				return false
			}
			e.Metadata[text] = plain
		case lengthOf(7):
			e.CustomMetadata = bytes.Clone(f.bytes)
		case lengthOf(8):
			e.Data = bytes.Clone(f.bytes)
		default:
			return false
		}
	}
	return true
}

func (d *decoded) decodeID(message []byte) bool {
	outer := fields{rest: message}
	if outer.next() != lengthOf(1) || len(outer.rest) > 0 {
		return false
	}
	for f := (fields{rest: outer.bytes}); len(f.rest) > 0; {
		switch f.next() {
		case numberOf(1):
			d.structured.MostSignificantBits = int64(f.number)
		case numberOf(2):
			d.structured.LeastSignificantBits = int64(f.number)
		default:
			return false
		}
	}
	d.value.Structured = &d.structured
	d.id.Value = &d.value
	return true
}

// plainText is a text of ASCII; "" for an empty one, and for any other, which the
// codec that is stood before has to look at. What stands in most events is not
// copied for each.
func plainText(b []byte) string {
	switch string(b) {
	case "type":
		return "type"
	case "content-type":
		return "content-type"
	case "created":
		return "created"
	case "application/json":
		return "application/json"
	}
	for _, c := range b {
		if c >= 0x80 {
			return ""
		}
	}
	return string(b)
}

// fields are those of a message that are not read yet.
type fields struct {
	rest   []byte
	number uint64 // of the last field, where it is one
	bytes  []byte // of the last field, where it has a length
}

// Tags of fields, as protobuf writes them.
const (
	varint    = 0
	delimited = 2
)

func numberOf(field uint64) uint64 { return field<<3 | varint }
func lengthOf(field uint64) uint64 { return field<<3 | delimited }

// next reads a field and returns its tag. 0, which is none, stands for whatever is
// not a whole number or a piece of a length.
func (f *fields) next() (tag uint64) {
	tag, n := binary.Uvarint(f.rest)
	if n <= 0 {
		return 0
	}
	rest := f.rest[n:]
	value, n := binary.Uvarint(rest)
	if n <= 0 {
		return 0
	}
	rest = rest[n:]
	switch tag & 7 {
	case varint:
		f.number, f.rest = value, rest
	case delimited:
		if value > uint64(len(rest)) {
			return 0
		}
		f.bytes, f.rest = rest[:value], rest[value:]
	default:
		return 0
	}
	return tag
}
