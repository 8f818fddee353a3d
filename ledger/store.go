package ledger

import (
	"context"

	"github.com/sentryagent/agentidp/eventstore"
)

// What callers see of the store below.
type (
	Position = eventstore.Position
	Actor    = eventstore.Actor
	Request  = eventstore.Request
)

const MaxRecordSize = eventstore.MaxRecordSize

// InterferedError is [eventstore.InterferedError].
type InterferedError = eventstore.InterferedError

// LostError is [eventstore.LostError].
type LostError = eventstore.LostError

var (
	ErrUnavailable = eventstore.ErrUnavailable
	ErrDenied      = eventstore.ErrDenied
	ErrTooLarge    = eventstore.ErrTooLarge
)

// Head is the position of the newest event: everything whose command returned
// before the call is at or before it.
func (l *Ledger) Head(ctx context.Context) (Position, error) { return l.store.Head(ctx) }

// KnownEnd is the position of the newest event that is known to have been there.
func (l *Ledger) KnownEnd() Position { return eventstore.Known(l.store) }
