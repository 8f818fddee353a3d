package eventstore

import (
	"context"
	"fmt"
	"sync/atomic"
)

// Extent is how far a ledger is known to reach. An engine embeds one: it raises
// it with each event that it appends or sees, and appends nothing once the ledger
// ends before that. The zero Extent knows of nothing. It is safe for concurrent use.
type Extent struct{ known atomic.Uint64 }

// Known is the position of the newest event that is known to have been there.
func (x *Extent) Known() Position { return Position(x.known.Load()) }

// Expect says that an event at a position has been there.
func (x *Extent) Expect(position Position) {
	for known := x.known.Load(); uint64(position) > known; known = x.known.Load() {
		if x.known.CompareAndSwap(known, uint64(position)) {
			return
		}
	}
}

// Known is how far a store's ledger is known to reach; 0 where the engine does not
// keep an [Extent].
func Known(s Store) Position {
	if engine, keeps := s.(interface{ Known() Position }); keeps {
		return engine.Known()
	}
	return 0
}

// CheckHead is a [*LostError] where a head lies before what was known when it was
// asked for. What became known since says nothing of it.
func CheckHead(known, head Position) error {
	if head < known {
		return &LostError{Known: known, Head: head}
	}
	return nil
}

// WholeHead is the head of a store whose ledger has all that is known of it, by the
// store itself and by the caller; else the error is a [*LostError].
func WholeHead(ctx context.Context, s Store, known Position) (Position, error) {
	known = max(known, Known(s)) // before the head is asked for
	head, err := s.Head(ctx)
	if err != nil {
		return 0, err
	}
	return head, CheckHead(known, head)
}

// LostError: the ledger ends before an event that was in it, as after its store
// was restored to an earlier state. Nothing may be appended: what is lost would
// then lie beside what took its place. It does not pass by itself.
type LostError struct {
	Known Position // of the newest event that was there
	Head  Position // where the ledger ends
}

func (e *LostError) Error() string {
	return fmt.Sprintf("the ledger ends at position %d, and there was an event at %d: its store was restored to an earlier state, or events are gone", e.Head, e.Known)
}
