package eventstore

import (
	"context"
	"iter"

	"github.com/google/uuid"
)

// StreamReader reads streams, as a [Store] does.
type StreamReader interface {
	ReadStream(ctx context.Context, stream string, from int64, direction Direction) iter.Seq2[Event, error]
}

// Owner tells whose events a stream has, by its first one: at one and the same
// cost for a short stream, a long one and one that is not there.
func Owner(ctx context.Context, store StreamReader, stream string) (owner uuid.UUID, found bool, err error) {
	for event, err := range store.ReadStream(ctx, stream, 0, Backwards) {
		return event.Organization, err == nil, err
	}
	return uuid.Nil, false, nil
}

// ReadOne reads the event of a stream at a revision, for whoever shows what was and
// is in no hurry: an engine whose long reads have a way of their own reads it by
// that, with a method ReadOne.
func ReadOne(ctx context.Context, store StreamReader, stream string, revision int64) (event Event, found bool, err error) {
	if engine, can := store.(interface {
		ReadOne(context.Context, string, int64) (Event, bool, error)
	}); can {
		return engine.ReadOne(ctx, stream, revision)
	}
	for event, err := range store.ReadStream(ctx, stream, revision, Forwards) {
		return event, err == nil && event.Revision == revision, err
	}
	return Event{}, false, nil
}
