package eventstore

import (
	"context"
	"errors"
	"fmt"
)

// ErrOtherLedger: what is in the database was derived from another ledger, or
// from this one on another engine.
var ErrOtherLedger = errors.New("the database was derived from another ledger")

// Landmark is an event and where it is in the ledger. What was derived from a ledger
// keeps one to know it by: positions mean nothing in another. Position and Hash
// are zero where they are not known.
type Landmark struct {
	Stream   string   `json:"stream"`
	Revision int64    `json:"revision"`
	Position Position `json:"position"`
	Hash     Hash     `json:"hash"`
}

// LandmarkOf is that of an event.
func LandmarkOf(e Event) Landmark { return Landmark{e.Stream, e.Revision, e.Position, e.Hash} }

// In is nil where the event is in the ledger, just there. The error is a
// [*LostError] where the ledger ends before it, and matches [ErrOtherLedger] where
// the ledger has something else there.
func (l Landmark) In(ctx context.Context, store Store) error {
	for found, err := range store.ReadStream(ctx, l.Stream, l.Revision, Forwards) {
		switch {
		case err != nil:
			return fmt.Errorf("look for an event of the ledger: %w", err)
		case l.Hash != (Hash{}) && found.Hash != l.Hash:
			return l.elsewhere("is another one in this ledger")
		case l.Position != 0 && found.Position != l.Position:
			return l.elsewhere(fmt.Sprintf("is at position %d of this ledger", found.Position))
		}
		return nil
	}
	head, err := store.Head(ctx)
	if err != nil {
		return fmt.Errorf("look for an event of the ledger: %w", err)
	}
	if err := CheckHead(l.Position, head); err != nil {
		return err
	}
	return l.elsewhere("is not in this ledger")
}

func (l Landmark) elsewhere(what string) error {
	return fmt.Errorf("%w: event %d of %s, at position %d there, %s", ErrOtherLedger, l.Revision, l.Stream, l.Position, what)
}
