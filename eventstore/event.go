package eventstore

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Draft is an event that has been decided but not yet stored.
type Draft struct {
	ID           uuid.UUID       // unique over the ledger; makes appends idempotent
	Type         string          // dotted name, such as "agent.created"
	Schema       int             // version of the shape of Data, from 1
	Organization uuid.UUID       // whose event it is; uuid.Nil when nobody's
	Actor        Actor           // who caused it
	Time         time.Time       // when it was decided; kept in UTC to the microsecond
	Request      Request         // how it came in; the zero Request when it did not
	Causation    uuid.UUID       // the event that led to this one, uuid.Nil when none
	Data         json.RawMessage // what happened: a JSON object
}

// Actor is who caused an event.
type Actor struct {
	Kind string `json:"kind"` // "agent", "system" or "anonymous"
	ID   string `json:"id"`
}

// Request is the request that caused an event.
type Request struct {
	ID    string `json:"id"`
	IP    string `json:"ip"`
	Agent string `json:"agent"` // the caller's User-Agent
}

// Event is an event of the ledger. What stands in its Record is what counts;
// the other fields are how the engine indexed it, and verification compares
// the two.
type Event struct {
	Position     Position
	Stream       string
	Revision     int64
	ID           uuid.UUID
	Type         string
	Organization uuid.UUID
	RecordedAt   time.Time
	Record       []byte // the frozen bytes; not to be modified
	Hash         Hash   // SHA-256 of Record
}

// Decode reads the record of the event.
func (e Event) Decode() (Record, error) { return DecodeRecord(e.Record) }

// Hash is a SHA-256 digest. The zero Hash is what the first event of a stream
// names as the one before it.
type Hash [sha256.Size]byte

// HashOf is the hash of a record's bytes.
func HashOf(record []byte) Hash { return sha256.Sum256(record) }

// String is the lower-case hexadecimal form, 64 digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText is [Hash.String].
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads the form that [Hash.String] writes, and no other.
func (h *Hash) UnmarshalText(text []byte) error {
	var parsed Hash
	if len(text) != 2*len(parsed) {
		return fmt.Errorf("a hash has %d hexadecimal digits, got %d", 2*len(parsed), len(text))
	}
	if _, err := hex.Decode(parsed[:], text); err != nil {
		return fmt.Errorf("hash: %w", err)
	}
	if parsed.String() != string(text) {
		return errors.New("a hash is written in lower case")
	}
	*h = parsed
	return nil
}
