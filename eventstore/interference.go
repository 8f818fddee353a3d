package eventstore

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/google/uuid"
)

// InterferenceKind says what was done to a stream by the means of the engine's own
// server, past the ledger.
type InterferenceKind string

const (
	// ForeignEvent: an event was put in the stream that is no event of the ledger.
	ForeignEvent InterferenceKind = "foreign_event"
	// HiddenEvents: the stream's settings keep events from whoever reads it, or
	// say who may. The next clean-up of the server may take the events for good.
	HiddenEvents InterferenceKind = "hidden_events"
	// DeletedStream: the stream was ended for good. The next clean-up takes its
	// events.
	DeletedStream InterferenceKind = "deleted_stream"
)

// Interference is one such deed. What it names is the event that the server has
// of the deed itself.
type Interference struct {
	Kind     InterferenceKind
	Stream   string // of the ledger
	EventID  uuid.UUID
	Revision int64 // of that event, in the stream where the server keeps it
	Position Position
	Detail   string // for a person
}

// Interferences are what was done to the ledger's streams after a position and has
// not been undone since, in order. An engine on a server where that can be done
// says so with a method Interferences; it goes on from where it last looked, so
// that looking often costs little.
func Interferences(ctx context.Context, s Store, after Position) ([]Interference, error) {
	engine, can := s.(interface {
		Interferences(context.Context, Position) ([]Interference, error)
	})
	if !can {
		return nil, nil
	}
	return engine.Interferences(ctx, after)
}

// InterferedError: a stream cannot be read or written because of what was done to
// it. It does not pass by itself; other streams are not concerned.
type InterferedError struct {
	Kind   InterferenceKind
	Stream string
	Detail string
}

func (e *InterferedError) Error() string {
	return fmt.Sprintf("%s: the stream %s of the ledger %s", e.Kind, e.Stream, e.Detail)
}

// ReadWhole is [Store.ReadStream] from the first event on, for whoever asks what
// was: an engine that still has events which its server hides or has deleted yields
// them too, with a method ReadWhole. That may cost a read of the ledger. Decisions
// are not made on it.
func ReadWhole(ctx context.Context, s StreamReader, stream string) iter.Seq2[Event, error] {
	if engine, can := s.(interface {
		ReadWhole(context.Context, string) iter.Seq2[Event, error]
	}); can {
		return engine.ReadWhole(ctx, stream)
	}
	return s.ReadStream(ctx, stream, 0, Forwards)
}

// OwnerOfWhole is [Owner] of what [ReadWhole] yields, at one cost whether the stream
// is there or not, as long as nothing was done to it.
func OwnerOfWhole(ctx context.Context, s StreamReader, stream string) (owner uuid.UUID, found bool, err error) {
	engine, can := s.(interface {
		WasThere(context.Context, string) (bool, error)
	})
	if !can {
		return Owner(ctx, s, stream)
	}
	there, err := engine.WasThere(ctx, stream)
	if err != nil {
		return owner, false, err
	}
	owner, found, err = Owner(ctx, s, stream)
	if err != nil && !errors.As(err, new(*InterferedError)) {
		return owner, false, err
	}
	if found || !there {
		return owner, found, nil
	}
	for event, err := range ReadWhole(ctx, s, stream) {
		return event.Organization, err == nil, err
	}
	return uuid.Nil, false, nil
}
