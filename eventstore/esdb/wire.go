package esdb

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
)

// envelope is the metadata of an event on the server: what makes it one of the
// ledger's, and what the record says that the engine wants to know without
// reading it.
type envelope struct {
	Format       string          `json:"format"`
	ID           uuid.UUID       `json:"id"`
	Organization uuid.UUID       `json:"organization"`
	Time         time.Time       `json:"time"`
	Hash         eventstore.Hash `json:"hash"`
}

// proposal is an event as it goes to the server. Its data is the record as it
// was sealed. The server takes two events with one id for the same, so its id
// is made of the record's hash and not of the event's id: what the server
// takes for a repetition is one, to the byte.
func proposal(e *eventstore.Event) (wire.Proposal, error) {
	metadata, err := json.Marshal(envelope{
		Format: eventstore.Format, ID: e.ID, Organization: e.Organization, Time: e.RecordedAt, Hash: e.Hash,
	})
	if err != nil {
		return wire.Proposal{}, err
	}
	return wire.Proposal{ID: wireID(e.Hash), Type: e.Type, Data: e.Record, Metadata: metadata}, nil
}

// wireID is the hash's first half as a UUID of version 8 (RFC 9562 section 5.8).
func wireID(hash eventstore.Hash) (id uuid.UUID) {
	copy(id[:], hash[:])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// size is what the server counts against its bound of an append.
func size(p *wire.Proposal) int { return len(p.Data) + len(p.Metadata) + 2*len(p.Type) }

// readEnvelope reads metadata: quickly what [proposal] makes, and whatever else
// means the same.
func readEnvelope(metadata []byte) (m envelope, ok bool) {
	rest, ok := metadata, true
	value := func(before string) (text []byte) {
		if ok = ok && len(rest) > len(before) && string(rest[:len(before)]) == before; !ok {
			return nil
		}
		rest = rest[len(before):]
		end := bytes.IndexByte(rest, '"')
		if ok = end >= 0 && bytes.IndexByte(rest[:end], '\\') < 0; !ok {
			return nil
		}
		text, rest = rest[:end], rest[end:]
		return text
	}
	ours := string(value(`{"format":"`)) == eventstore.Format
	id, err1 := uuid.ParseBytes(value(`","id":"`))
	organization, err2 := uuid.ParseBytes(value(`","organization":"`))
	err3 := m.Time.UnmarshalText(value(`","time":"`))
	err4 := m.Hash.UnmarshalText(value(`","hash":"`))
	if ok && ours && errors.Join(err1, err2, err3, err4) == nil && string(rest) == `"}` {
		m.Format, m.ID, m.Organization = eventstore.Format, id, organization
		return m, true
	}
	m = envelope{}
	return m, json.Unmarshal(metadata, &m) == nil
}

// event reads an event of the server. ok is false for what is not of this
// ledger: the server's own events, and those of others who use it.
func (s *Store) event(r *wire.Record) (e eventstore.Event, ok bool) {
	stream, found := strings.CutPrefix(r.Stream, s.options.Prefix)
	if !found || strings.HasPrefix(r.Type, "$") || strings.HasPrefix(r.Stream, "$") || isBarrier(stream) {
		return e, false
	}
	m, ok := readEnvelope(r.Metadata)
	if !ok || m.Format != eventstore.Format || r.Revision > math.MaxInt64 {
		return e, false
	}
	return eventstore.Event{
		Position: eventstore.Position(r.Position.Commit), Stream: stream, Revision: int64(r.Revision), ID: m.ID, Type: r.Type,
		Organization: m.Organization, RecordedAt: m.Time, Record: r.Data, Hash: m.Hash,
	}, true
}
