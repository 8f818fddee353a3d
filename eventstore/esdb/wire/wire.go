// Package wire is all that the engine asks of an EventStoreDB, as an interface
// of ours. The engine's client.go fills it with the client library, and a model
// of the server fills it in tests, without a network and in virtual time.
//
// It is a package of its own because the model is one too, and what both name
// cannot stand in either of them.
package wire

import (
	"context"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
)

// Dialer finds the server's leader.
type Dialer interface {
	// Dial returns a connection to a node that answers, the leader where one is
	// known. It refuses a server that is too old.
	Dial(ctx context.Context) (Conn, error)
}

// Conn is a connection to one node. It is safe for concurrent use. Every request
// insists on a leader, and every error but a context's is an [*Error].
type Conn interface {
	// Append writes events at the end of a stream whose newest has the expected
	// revision: [NoStream], [AnyRevision] or a number from 0. A repetition is
	// answered as the first time. One that expects no stream is taken for a stream
	// that was deleted softly, too, and goes on behind what was there.
	Append(ctx context.Context, stream string, expected int64, events []Proposal) (Written, error)

	// ReadStream reads at most count records from a revision on, that one
	// included; backwards from [eventstore.End] begins with the newest. Fewer
	// records than asked for are all there are.
	ReadStream(ctx context.Context, stream string, from int64, direction eventstore.Direction, count int) ([]Record, error)

	// ReadAll reads at most count records of the server's whole log: forwards those
	// at a position and after it, backwards those before it. Fewer records than
	// asked for are all there are. A position at which no record begins is
	// [BadPosition], unless it lies beyond the end.
	ReadAll(ctx context.Context, from Position, direction eventstore.Direction, count int) ([]Record, error)

	// Follow subscribes to what comes after a position, in streams whose names
	// begin with the prefix, or in all if there is none; of the server's own events
	// to the settings and tombstones of these streams. The context bounds the making alone. The record after one that is gone may be
	// left out: see that it is there.
	Follow(ctx context.Context, after Position, prefix string) (Subscription, error)

	// Done is closed when the connection is of no use any more, and Err says why.
	Done() <-chan struct{}
	Err() error

	// Retire lets no more calls in and ends the subscriptions; calls inside come to
	// their end by themselves.
	Retire(reason error)

	// Close retires the connection, waits for the calls inside and gives it back.
	Close()
}

// Subscription is what comes, one message after another.
type Subscription interface {
	// Receive waits for the next message. After an error there are no more.
	Receive() (Message, error)
	// Close ends it, and a Receive that waits.
	Close()
}

// Message is what a subscription brings.
type Message struct {
	Kind     Kind
	Record   Record   // of an [Appeared]
	Position Position // of a [Checkpoint]: all before it has been looked at
}

// Kind is what a message is.
type Kind int

const (
	Appeared   Kind = iota // a record
	Checkpoint             // how far the server has looked; the position may be anything
	CaughtUp               // what was there when the subscription was made has come
	FellBehind             // the server reads from its history again
)

// Position is a place in the server's log.
type Position struct{ Commit, Prepare uint64 }

var (
	Start = Position{}
	End   = Position{math.MaxUint64, math.MaxUint64}
)

// At is the position of the record that begins at a place.
func At(place uint64) Position { return Position{place, place} }

// Written is where the last event of an append is.
type Written struct {
	Position       // [Start] where the server does not tell
	Revision int64 // in its stream
}

// Revisions that an append may expect besides that of an event.
const (
	NoStream    int64 = -1
	AnyRevision int64 = -2
)

// Record is an event as the server has it.
type Record struct {
	ID             uuid.UUID
	Stream, Type   string
	Revision       uint64
	Position       Position
	Created        time.Time
	Data, Metadata []byte
}

// Proposal is an event on its way to the server.
type Proposal struct {
	ID             uuid.UUID
	Type           string
	Data, Metadata []byte // JSON
}
