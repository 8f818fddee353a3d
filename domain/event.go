package domain

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Type is an event's dotted name as it stands in the ledger.
type Type string

// Event is a fact. The types that implement it are listed in catalogue.go.
type Event interface {
	// EventType is the name in the ledger; it is never derived from the Go name.
	EventType() Type
}

// kind is what the catalogue knows of one event type: its row.
type kind struct {
	schema int // the shape written today
	decode func(data []byte) (Event, error)
	// upcasters[n] turns data of schema n into data of schema n+1.
	upcasters map[int]upcaster

	about   func(Event) Subject
	changes Noun         // see [Changes]
	audit   AuditOutcome // or unaudited
	ends    Ending       // the most that an event of the type does to tokens
	// refine says what of that a single event does; nil where each does all.
	refine func(e Event, all Ending) Ending
}

type upcaster func(data json.RawMessage) (json.RawMessage, error)

// UnknownEventError: the ledger holds an event that this build has no word for.
type UnknownEventError struct {
	Type   Type
	Schema int
}

func (e *UnknownEventError) Error() string {
	return fmt.Sprintf("unknown event %q, schema %d", e.Type, e.Schema)
}

// Encode gives the name, schema and data under which an event is stored.
func Encode(e Event) (eventType Type, schema int, data json.RawMessage, err error) {
	eventType = e.EventType()
	k, known := catalogue[eventType]
	if !known {
		return "", 0, nil, &UnknownEventError{Type: eventType}
	}
	data, err = marshal(e)
	if err != nil {
		return "", 0, nil, fmt.Errorf("encode %s: %w", eventType, err)
	}
	return eventType, k.schema, data, nil
}

// Decode reads an event as stored under any schema there ever was, bringing
// old shapes up to today's. A type or schema this build does not know is an
// [*UnknownEventError].
func Decode(eventType Type, schema int, data json.RawMessage) (Event, error) {
	return decode(catalogue, eventType, schema, data)
}

func decode(kinds map[Type]*kind, eventType Type, schema int, data json.RawMessage) (Event, error) {
	k, known := kinds[eventType]
	if !known || schema < 1 || schema > k.schema {
		return nil, &UnknownEventError{Type: eventType, Schema: schema}
	}
	for ; schema < k.schema; schema++ {
		up := k.upcasters[schema]
		if up == nil {
			return nil, &UnknownEventError{Type: eventType, Schema: schema}
		}
		raised, err := up(data)
		if err != nil {
			return nil, fmt.Errorf("upcast %s from schema %d: %w", eventType, schema, err)
		}
		data = raised
	}
	event, err := k.decode(data)
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", eventType, err)
	}
	return event, nil
}

// CheckCatalogue reports the first event type whose old schemas could not all
// be brought up to today's. Call it before serving.
func CheckCatalogue() error { return checkCatalogue(catalogue) }

func checkCatalogue(kinds map[Type]*kind) error {
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		k := kinds[name]
		for schema := 1; schema < k.schema; schema++ {
			if k.upcasters[schema] == nil {
				return fmt.Errorf("event %s: no upcaster from schema %d to %d", name, schema, schema+1)
			}
		}
	}
	return nil
}

// decodeAs reads data as E: one JSON object, without fields that E does not have.
func decodeAs[E Event](data []byte) (Event, error) {
	var e E
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&e); err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return nil, errors.New("the data is not an object")
	}
	if rest := bytes.TrimSpace(data[decoder.InputOffset():]); len(rest) > 0 {
		return nil, errors.New("something follows the data")
	}
	return e, nil
}

// marshal is json.Marshal without the escaping of <, > and & meant for HTML.
func marshal(v any) (json.RawMessage, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(buffer.Bytes(), "\n"), nil
}
