package eventstore

import (
	"context"
	"iter"
	"time"

	"github.com/google/uuid"
)

// Store keeps the events of a ledger. It is safe for concurrent use, by many
// goroutines and, where the engine is shared, by many processes.
//
// A sequence that a read yields ends without an error only where the ledger or the
// stream does. Whatever else ends it, the context or a lost connection, is its
// last item's error.
type Store interface {
	// Append adds events to the end of a stream: all of them or none.
	//
	// The stream must be at the expected revision ([NoStream], [Exactly] or,
	// for streams that guard no invariant, [Any]); otherwise the error is a
	// [*ConflictError] carrying both revisions. Append is idempotent by event
	// id: repeating an append whose events are in the stream already, in that
	// order and, unless [Any] is expected, at that place, returns the first
	// result and writes nothing. An id that names another event is
	// [ErrDuplicateID].
	//
	// When Append has returned nil, the events are durable and visible to
	// every later read through any process. When it has returned
	// [ErrUnavailable] they may or may not be there: repeat the call with the
	// same ids to find out.
	Append(ctx context.Context, stream string, expected ExpectedRevision, events ...Draft) (Appended, error)

	// ReadStream yields the events of one stream from a revision on, that one
	// included. A stream that does not exist yields nothing. Backwards from
	// [End] starts with the newest event. The sequence ends with the first error.
	ReadStream(ctx context.Context, stream string, from int64, direction Direction) iter.Seq2[Event, error]

	// ReadAll yields the events after a position in the ledger's one total
	// order, up to the newest at the time of the call, those that pass the
	// filter. The sequence ends with the first error.
	ReadAll(ctx context.Context, after Position, filter Filter) iter.Seq2[Event, error]

	// Newest is the last n events that pass the filter, fewer when there are not
	// so many, in the ledger's order.
	Newest(ctx context.Context, n int, filter Filter) ([]Event, error)

	// Head is the position of the newest event, 0 for an empty ledger. Every
	// event whose append returned before the call is at or before it.
	Head(ctx context.Context) (Position, error)

	// Subscribe follows the ledger from a position: first what is there, then
	// what comes, in the total order, never skipping and never repeating an
	// event. See [Subscription].
	Subscribe(after Position, filter Filter) Subscription
}

// Subscription is one consumer's way through the ledger. It is not safe for
// concurrent use; Close it when done.
type Subscription interface {
	// Next blocks until there is something to report: matching events (at most
	// a thousand), or, once the end is reached, that everything up to a
	// position has been looked at. An error leaves the subscription where it
	// was: calling Next again continues without gap or repeat, so a caller
	// backs off and retries. When ctx ends Next returns its error.
	Next(ctx context.Context) (Batch, error)
	Close()
}

// Batch is a step of a [Subscription].
type Batch struct {
	Events   []Event  // in order; may be empty
	Position Position // everything that matches up to here has been delivered
	Head     Position // newest position the store knew of: Head - Position is the lag
}

// Appended is the result of an append.
type Appended struct {
	Positions []Position // of the events, in their order
	Revision  int64      // of the last of the events
	Hash      Hash       // of the last of the events
}

// Position is the position of the last of the events.
func (a Appended) Position() Position {
	if len(a.Positions) == 0 {
		return 0
	}
	return a.Positions[len(a.Positions)-1]
}

// Position orders all events of a ledger. It is opaque: only its order means
// something, and what lies between two positions differs from engine to
// engine. The zero Position is before the first event.
type Position uint64

// End is the place to read a stream backwards from.
const End int64 = -1

// Direction is the way a stream is read.
type Direction bool

const (
	Forwards  Direction = false
	Backwards Direction = true
)

// Filter chooses events. The zero Filter passes all of them.
type Filter struct {
	Types        []string  // none: all types
	Organization uuid.UUID // uuid.Nil: all organizations
	From, To     time.Time // recorded in [From, To], in whole microseconds; zero: no bound
}

// ExpectedRevision is the state a stream must be in for an append to succeed.
// The zero value is [NoStream].
type ExpectedRevision struct {
	kind     expectation
	revision int64
}

type expectation uint8

const (
	expectNoStream expectation = iota
	expectExactly
	expectAny
)

// NoStream expects that the stream has no event yet.
func NoStream() ExpectedRevision { return ExpectedRevision{kind: expectNoStream} }

// Exactly expects that the stream's newest event has this revision; revisions
// count from 0. Exactly(-1) is [NoStream].
func Exactly(revision int64) ExpectedRevision {
	if revision < 0 {
		return NoStream()
	}
	return ExpectedRevision{kind: expectExactly, revision: revision}
}

// Any expects nothing. It is for streams whose events guard no invariant.
func Any() ExpectedRevision { return ExpectedRevision{kind: expectAny} }

// IsAny reports whether any revision will do.
func (e ExpectedRevision) IsAny() bool { return e.kind == expectAny }

// Revision is the expected revision of the newest event, -1 for [NoStream].
// It means nothing when [ExpectedRevision.IsAny].
func (e ExpectedRevision) Revision() int64 {
	if e.kind == expectExactly {
		return e.revision
	}
	return -1
}
