package transparency

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sentryagent/agentidp/eventstore"
)

func TestATreeHasTheRootsOfRFC6962(t *testing.T) {
	const most = 1100 // beyond two tiles and a half
	entries := make([]eventstore.Hash, most)
	for i := range entries {
		entries[i] = entry(eventstore.Position(i), 0)
	}
	reference := treeOf(t, entries)
	tree := &Tree{}
	for i, e := range entries {
		if got, want := tree.Root(), rootOf(t, reference, int64(i)); got != want {
			t.Fatalf("a tree of %d entries has root %s, want %s", i, got, want)
		}
		tree.Append(e)
	}
}

func TestATreeGoesOnFromItsEdge(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		before, after := rapid.IntRange(0, 600).Draw(r, "before"), rapid.IntRange(0, 300).Draw(r, "after")
		whole := &Tree{}
		for i := range before {
			whole.Append(entry(eventstore.Position(i), 0))
		}
		restored, err := RestoreTree(whole.Size(), whole.Edge())
		if err != nil {
			r.Fatal(err)
		}
		for i := range after {
			whole.Append(entry(eventstore.Position(before+i), 0))
			restored.Append(entry(eventstore.Position(before+i), 0))
		}
		if whole.Root() != restored.Root() || whole.Size() != restored.Size() {
			r.Fatalf("restored at %d and grown by %d: %s, want %s", before, after, restored.Root(), whole.Root())
		}
	})
}

func TestAnEdgeOfAnotherSizeIsRefused(t *testing.T) {
	tree := &Tree{}
	for i := range 5 {
		tree.Append(entry(eventstore.Position(i), 0))
	}
	for _, size := range []int64{-1, 4, 7} {
		if _, err := RestoreTree(size, tree.Edge()); err == nil {
			t.Errorf("the edge of 5 entries was taken for one of %d", size)
		}
	}
}
