package postgres

import (
	"bytes"
	"context"
	"encoding/binary"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
)

// copyFromRows is the size of a group from which COPY beats INSERT, measured: its rows
// cost the server less, but it takes a round trip of its own.
const copyFromRows = 96

const copyEvents = `COPY events (position, stream, revision, id, type, organization_id, recorded_at, record, hash)
	FROM STDIN (FORMAT binary)`

// copy writes rows by COPY.
func (w *writer) copy(ctx context.Context, rows []eventstore.Event) error {
	w.buffer = appendCopy(w.buffer[:0], rows)
	_, err := w.conn.PgConn().CopyFrom(ctx, bytes.NewReader(w.buffer), copyEvents)
	if cap(w.buffer) > 2*maxBatchBytes {
		w.buffer = nil // an append far beyond the usual; do not keep its memory
	}
	return err
}

// appendCopy encodes rows in PostgreSQL's binary COPY format.
func appendCopy(b []byte, rows []eventstore.Event) []byte {
	const signature = "PGCOPY\n\xff\r\n\x00"
	const fields = 9
	b = append(b, signature...)
	b = append(b, make([]byte, 8)...) // no flags, no header extension
	for i := range rows {
		e := &rows[i]
		b = binary.BigEndian.AppendUint16(b, fields)
		b = appendInt64(b, int64(e.Position))
		b = appendField(b, e.Stream)
		b = appendInt64(b, e.Revision)
		b = appendField(b, e.ID[:])
		b = appendField(b, e.Type)
		if e.Organization == uuid.Nil {
			b = binary.BigEndian.AppendUint32(b, 0xffffffff) // NULL
		} else {
			b = appendField(b, e.Organization[:])
		}
		b = appendInt64(b, e.RecordedAt.UnixMicro()-microsecondsTo2000)
		b = appendField(b, e.Record)
		b = appendField(b, e.Hash[:])
	}
	return binary.BigEndian.AppendUint16(b, 0xffff) // the end
}

func appendField[T string | []byte](b []byte, value T) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(value)))
	return append(b, value...)
}

func appendInt64(b []byte, value int64) []byte {
	b = binary.BigEndian.AppendUint32(b, 8)
	return binary.BigEndian.AppendUint64(b, uint64(value))
}
