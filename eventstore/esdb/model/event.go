package model

import (
	"strconv"
	"sync/atomic"
	"time"
)

// ID is the id of an event, a UUID.
type ID [16]byte

// Proposed is an event on its way in.
type Proposed struct {
	ID             ID
	Type           string
	ContentType    string
	Metadata, Data []byte
}

// Record is an event that is in the log. Nobody may change it.
type Record struct {
	Proposed
	Stream   string
	Revision int64
	Position uint64            // where it begins: its commit and its prepare position
	Created  time.Time         // by the clock of the leader
	Headers  map[string]string // what a reader gets beside metadata and data: type, content type, created

	// Encoded is for the server that serves the model: the record as it goes out.
	Encoded atomic.Pointer[[]byte]

	end    uint64    // where the next record may begin
	limits *Metadata // what a record of type $metadata says, nil for all others
}

// System reports that the event is the server's own.
func (r *Record) System() bool { return r.Type != "" && r.Type[0] == '$' }

// Types of the server's own events.
const (
	typeMetadata = "$metadata"
	typeDeleted  = "$streamDeleted"
	typeLink     = "$>"
	typeStats    = "$statsCollected"
)

// DeletedRevision is the revision of a tombstone, and what `$tb` says of a
// stream that was soft-deleted.
const DeletedRevision int64 = 1<<63 - 1

const contentJSON = "application/json"

// overhead is about what a record takes in the log beside its texts.
const overhead = 96

func newRecord(stream string, revision int64, position uint64, p Proposed) *Record {
	now := time.Now()
	r := &Record{
		Proposed: p, Stream: stream, Revision: revision, Position: position, Created: now,
		Headers: map[string]string{
			"type": p.Type, "content-type": p.ContentType,
			"created": strconv.FormatInt(now.UnixNano()/100, 10), // ticks of 100 ns
		},
		end: position + overhead + uint64(len(stream)+2*len(p.Type)+len(p.Metadata)+len(p.Data)),
	}
	if p.Type == typeMetadata {
		r.limits = parseMetadata(p.Data)
	}
	return r
}

// altered is a copy of the record with other data.
func (r *Record) altered(data []byte) *Record {
	c := &Record{
		Proposed: r.Proposed, Stream: r.Stream, Revision: r.Revision, Position: r.Position, Created: r.Created,
		Headers: r.Headers, end: r.end, limits: r.limits,
	}
	c.Data = data
	return c
}
