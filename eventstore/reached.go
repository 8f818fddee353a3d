package eventstore

import (
	"context"
	"iter"
)

// Reached is a position that the ledger has reached, at no more cost than
// [Store.Head]. It is for whoever looks again and again: an event that somebody
// else has just appended may come after it. An engine that follows the ledger in
// any case says so, without asking anybody, with a method Reached.
func Reached(ctx context.Context, s Store) (Position, error) {
	if engine, follows := s.(interface {
		Reached(context.Context) (Position, error)
	}); follows {
		return engine.Reached(ctx)
	}
	return s.Head(ctx)
}

// ReadNew is [Store.ReadAll] for whoever keeps up with the ledger and knows that
// it has reached a position: all events up to that come, and more may. An engine
// that follows the ledger in any case gives what it has at hand, with a method
// ReadNew. It is not for verification, which has to see what is stored.
func ReadNew(ctx context.Context, s Store, after, through Position, filter Filter) iter.Seq2[Event, error] {
	if engine, follows := s.(interface {
		ReadNew(ctx context.Context, after, through Position, filter Filter) iter.Seq2[Event, error]
	}); follows {
		return engine.ReadNew(ctx, after, through, filter)
	}
	return s.ReadAll(ctx, after, filter)
}

// AtHand reports whether [ReadNew] after a position costs no read of history. An
// engine that would have to read all that lies between says so with a method
// AtHand.
func AtHand(s Store, after Position) bool {
	engine, reads := s.(interface{ AtHand(Position) bool })
	return !reads || engine.AtHand(after)
}
