package replaytest

import (
	"context"
	"iter"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// Shelf is a ledger and its log in memory, for what needs neither database nor
// engine.
type Shelf struct {
	eventstore.Store
	Events []eventstore.Event
}

func (s Shelf) ReadAll(context.Context, eventstore.Position, eventstore.Filter) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		for _, e := range s.Events {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (s Shelf) tree() *transparency.Tree {
	tree := &transparency.Tree{}
	for _, e := range s.Events {
		tree.Append(e.Hash)
	}
	return tree
}

func (s Shelf) State(context.Context, uuid.UUID) (transparency.State, error) {
	return transparency.State{Tree: s.tree(), Position: eventstore.Position(len(s.Events))}, nil
}

func (s Shelf) Entries(_ context.Context, _ uuid.UUID, from, to int64) iter.Seq2[eventstore.Hash, error] {
	return func(yield func(eventstore.Hash, error) bool) {
		for _, e := range s.Events[from:to] {
			if !yield(e.Hash, nil) {
				return
			}
		}
	}
}

func (s Shelf) Head(context.Context) (eventstore.Position, error) {
	return eventstore.Position(len(s.Events)), nil
}

func (s Shelf) Root(context.Context, uuid.UUID, int64) (tlog.Hash, error) {
	return s.tree().Root(), nil
}

func (s Shelf) Checkpoints(context.Context, uuid.UUID) ([]transparency.Signed, error) {
	tree := s.tree()
	root := tree.Root()
	note, err := sign(SigningKey, transparency.Whole, tree.Size(), root[:])
	c := transparency.Checkpoint{Origin: transparency.Origin(Host, transparency.Whole), Size: tree.Size(), Root: root}
	return []transparency.Signed{{Checkpoint: c, Note: note, SignedAt: time.Now()}}, err
}
