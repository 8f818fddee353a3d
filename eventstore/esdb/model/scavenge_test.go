package model_test

import (
	"testing"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
)

// first is the first event of the tests' that a subscription brings.
func (w *world) first(after model.Position) *model.Record {
	w.Helper()
	sub, err := w.Leader().Subscribe(w.Context(), true, after, &model.Filter{ByType: true, Prefixes: []string{"a."}}, model.Window{Events: 32, Times: 1})
	if err != nil {
		w.Fatal(err)
	}
	for {
		m, err := sub.Receive(w.Context())
		if err != nil {
			w.Fatal(err)
		}
		if m.Kind == model.EventAppeared {
			return m.Event
		}
	}
}

// A subscription from the position of a record that was scavenged away passes
// over the next one. A read does not.
func TestAfterAScavengeASubscriptionSkips(t *testing.T) {
	in(t, model.Options{}, func(w *world) {
		n := w.Leader()
		foreign := w.add(n, "foreign").Position
		ours := w.add(n, "ours").Position
		next := w.add(n, "ours").Position
		at := model.Position{Commit: foreign, Prepare: foreign}
		if got := w.first(at); got.Position != ours {
			w.Errorf("before: begins with %d, want %d", got.Position, ours)
		}
		if _, err := n.Tombstone(w.Context(), true, "foreign", model.ExpectAny); err != nil {
			w.Fatal(err)
		}
		if removed := w.Scavenge(); removed != 1 {
			w.Errorf("%d records were removed, want 1", removed)
		}
		if got := w.first(at); got.Position != next {
			w.Errorf("afterwards: begins with %d, want %d", got.Position, next)
		}
		page, err := n.ReadAll(w.Context(), true, at, false, 1, nil)
		if err != nil || len(page) != 1 || page[0].Position != ours {
			w.Errorf("a read from there: %v, %v, want %d first", page, err, ours)
		}
	})
}

// A scavenge takes what its stream hides, and leaves its newest event.
func TestAScavengeTakesWhatIsHidden(t *testing.T) {
	for name, c := range map[string]struct {
		hide func(w *world, n *model.Node) error
		left []int64
	}{
		"$tb": {func(w *world, n *model.Node) error {
			_, err := n.SetMetadata(w.Context(), true, "s", w.event().ID, model.Metadata{TruncateBefore: new(int64(3))})
			return err
		}, []int64{3, 4}},
		"$maxCount": {func(w *world, n *model.Node) error {
			_, err := n.SetMetadata(w.Context(), true, "s", w.event().ID, model.Metadata{MaxCount: new(int64(1))})
			return err
		}, []int64{4}},
		"soft delete": {func(w *world, n *model.Node) error {
			_, err := n.Delete(w.Context(), true, "s", model.ExpectAny)
			return err
		}, []int64{4}},
		"tombstone": {func(w *world, n *model.Node) error {
			_, err := n.Tombstone(w.Context(), true, "s", model.ExpectAny)
			return err
		}, []int64{model.DeletedRevision}},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, model.Options{}, func(w *world) {
				n := w.Leader()
				for range 5 {
					w.add(n, "s")
				}
				if err := c.hide(w, n); err != nil {
					w.Fatal(err)
				}
				w.Scavenge()
				all, err := n.ReadAll(w.Context(), true, model.Start, false, 100, &model.Filter{Regex: "^s$"})
				if err != nil {
					w.Fatal(err)
				}
				var left []int64
				for _, r := range all {
					left = append(left, r.Revision)
				}
				w.same("left", left, c.left)
				if name == "tombstone" {
					return
				}
				if done := w.add(n, "s"); done.Current != 5 {
					w.Errorf("the stream goes on at %d, want 5", done.Current)
				}
			})
		})
	}
}

// A store that was put back to an older state gives the same positions again.
func TestARestoredStoreGoesOnInThePast(t *testing.T) {
	in(t, model.Options{Nodes: 3}, func(w *world) {
		n := w.Leader()
		w.add(n, "s")
		backup := w.Backup()
		lost := w.add(n, "s")
		sub, err := n.Subscribe(w.Context(), true, model.End, nil, model.Window{})
		if err != nil {
			w.Fatal(err)
		}
		w.Restore(backup)
		_, err = sub.Receive(w.Context())
		if err == nil {
			_, err = sub.Receive(w.Context())
		}
		w.refused(err, model.Unavailable, "")
		for range 2 { // a copy may be put back twice
			if got := w.add(n, "s"); got != lost {
				w.Errorf("the next append is %+v, want %+v again", got, lost)
			}
			w.Restore(backup)
		}
	})
}
