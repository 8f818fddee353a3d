package move

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// copyProof compares two ledgers from the beginning, and goes on as they grow.
type copyProof struct{ from, to copySide }

// copySide is one of two ledgers, as far as it has been compared.
type copySide struct {
	name  string
	store eventstore.Store
	at    eventstore.Position
	chain *eventstore.Chain

	whole         *transparency.Tree
	organizations map[uuid.UUID]*transparency.Tree
}

func newCopyProof(from, to eventstore.Store) *copyProof {
	return &copyProof{newCopySide("source", from), newCopySide("target", to)}
}

func newCopySide(name string, store eventstore.Store) copySide {
	return copySide{name: name, store: store, whole: &transparency.Tree{}, organizations: map[uuid.UUID]*transparency.Tree{}}
}

// advance goes on through a position of the source, where the target must end
// too, or, with 0, to the end of the target, which must be in the source. After
// an error that passes it may be called again.
func (p *copyProof) advance(ctx context.Context, through eventstore.Position, tell func(eventstore.Position)) error {
	const telling = 1000 // events
	copied, stop := iter.Pull2(p.to.store.ReadAll(ctx, p.to.at, eventstore.Filter{}))
	defer stop()
	if through == 0 || p.from.at < through {
		for source, err := range p.from.store.ReadAll(ctx, p.from.at, eventstore.Filter{}) {
			if err != nil {
				return fmt.Errorf("read the source: %w", err)
			}
			if through > 0 && source.Position > through {
				break
			}
			target, err, there := copied()
			switch {
			case err != nil:
				return fmt.Errorf("read the target: %w", err)
			case !there && through > 0:
				return ends(p.from.whole.Size(), &source, "the target ends before it")
			case !there:
				return nil
			}
			if err := p.compare(&source, &target); err != nil {
				return err
			}
			if p.from.whole.Size()%telling == 0 {
				tell(p.from.at)
			}
		}
	}
	target, err, there := copied()
	switch {
	case err != nil:
		return fmt.Errorf("read the target: %w", err)
	case there:
		return ends(p.to.whole.Size(), &target, "the source does not have it")
	}
	return nil
}

// compare takes an event and its copy. What is wrong with one of them by itself
// says more than that they differ.
func (p *copyProof) compare(source, target *eventstore.Event) error {
	if err := p.from.check(source); err != nil {
		return err
	}
	if err := p.to.check(target); err != nil {
		return err
	}
	if err := different(p.from.whole.Size(), source, target); err != nil {
		return err
	}
	p.from.take(source)
	p.to.take(target)
	return nil
}

// check makes sure that an event's hash is that of its record, and that it goes
// on from those before it as far as they are remembered.
func (s *copySide) check(e *eventstore.Event) error {
	if s.chain == nil || s.chain.Streams() > maxChained {
		s.chain = eventstore.NewChain(eventstore.ChainOptions{After: s.at, Dense: eventstore.Dense(s.store), Midway: true})
	}
	if err := s.chain.Check(*e); err != nil {
		return fmt.Errorf("the %s is broken: %w", s.name, err)
	}
	return nil
}

// take adds an event to its logs.
func (s *copySide) take(e *eventstore.Event) {
	s.at = e.Position
	s.whole.Append(e.Hash)
	if e.Organization == uuid.Nil {
		return
	}
	tree := s.organizations[e.Organization]
	if tree == nil {
		tree = &transparency.Tree{}
		s.organizations[e.Organization] = tree
	}
	tree.Append(e.Hash)
}

// conclude compares the trees of both sides.
func (p *copyProof) conclude() error {
	same := func(a, b *transparency.Tree) bool { return b != nil && a.Size() == b.Size() && a.Root() == b.Root() }
	if !same(p.from.whole, p.to.whole) || len(p.from.organizations) != len(p.to.organizations) {
		return &Difference{Index: -1, Detail: "the logs of the whole ledgers differ"}
	}
	for id, tree := range p.from.organizations {
		if !same(tree, p.to.organizations[id]) {
			return &Difference{Index: -1, Detail: fmt.Sprintf("the logs of organization %s differ", id)}
		}
	}
	return nil
}

func (p *copyProof) report() CopyReport {
	r := CopyReport{Events: p.to.whole.Size(), Root: p.to.whole.Root(), Organizations: []OrganizationLog{}}
	for id, tree := range p.to.organizations {
		r.Organizations = append(r.Organizations, OrganizationLog{id, tree.Size(), tree.Root()})
	}
	slices.SortFunc(r.Organizations, func(a, b OrganizationLog) int {
		return bytes.Compare(a.ID[:], b.ID[:])
	})
	return r
}
