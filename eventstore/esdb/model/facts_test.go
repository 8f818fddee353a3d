package model_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
)

// An append that expects nothing is known by its ids as long as the node
// remembers them; one at a revision for ever.
func TestTheMemoryForAnyIsBounded(t *testing.T) {
	in(t, model.Options{Remembers: 30 * 100}, func(w *world) { // about a hundred events
		n, e := w.Leader(), w.events(1)
		add := func(expected int64) model.Appended {
			done, err := n.Append(w.Context(), true, "s", expected, e)
			if err != nil {
				w.Fatal(err)
			}
			return done
		}
		first := add(model.ExpectNoStream)
		for range 50 {
			w.add(n, "s")
		}
		w.same("remembered", add(model.ExpectAny), first)
		for range 100 {
			w.add(n, "s")
		}
		if again := add(model.ExpectAny); again.Current != 151 {
			w.Errorf("forgotten: %+v, want it to be written again", again)
		}
		w.same("at its revision", add(model.ExpectNoStream), first)
	})
}

// The server's projections add two links to each event in a category, more to a
// new stream, and one to what is correlated.
func TestProjectionsAddLinks(t *testing.T) {
	in(t, model.Options{}, func(w *world) {
		n := w.Leader()
		w.add(n, "my-name/agent-1")
		w.EnableProjections()
		w.add(n, "agent-1")
		e := w.event()
		e.Metadata = []byte(`{"$correlationId":"c"}`)
		if _, err := n.Append(w.Context(), true, "agent-1", model.ExpectAny, []model.Proposed{e}); err != nil {
			w.Fatal(err)
		}
		all, err := n.ReadAll(w.Context(), true, model.Start, false, 1000, &model.Filter{ByType: true, Prefixes: []string{"$>"}})
		if err != nil {
			w.Fatal(err)
		}
		var links []string
		for _, r := range all {
			links = append(links, r.Stream+" "+string(r.Data))
		}
		w.same("links", links, []string{
			"$streams 0@my-name/agent-1", "$category-my my-name/agent-1", "$ce-my 0@my-name/agent-1", "$et-a.x 0@my-name/agent-1",
			"$streams 0@agent-1", "$category-agent agent-1", "$ce-agent 0@agent-1", "$et-a.x 0@agent-1",
			"$ce-agent 1@agent-1", "$et-a.x 1@agent-1", "$bc-c 1@agent-1",
		})
	})
}

// $maxAge hides what is too old, in its stream.
func TestMaxAgeHides(t *testing.T) {
	in(t, model.Options{}, func(w *world) {
		n := w.Leader()
		if _, err := n.SetMetadata(w.Context(), true, "s", w.event().ID, model.Metadata{MaxAge: new(int64(10))}); err != nil {
			w.Fatal(err)
		}
		w.add(n, "s")
		time.Sleep(9 * time.Second)
		w.add(n, "s")
		for _, want := range []int{2, 1, 0} {
			page, found, err := n.ReadStream(w.Context(), true, "s", 0, false, 10)
			if err != nil || !found || len(page) != want {
				w.Errorf("%d events, found %t, %v, want %d", len(page), found, err, want)
			}
			time.Sleep(6 * time.Second)
		}
	})
}

// How sizes are counted, by version.
func TestSizesByVersion(t *testing.T) {
	for _, c := range []struct {
		version        string
		data, metadata int
		refused        bool
	}{
		{"23.10", 1 << 20, 1 << 20, false},
		{"23.10", 1<<20 + 1, 0, true},
		{"24.10", 1<<20 + 1, 0, true},
		{"25.1", 2 << 20, 0, false},
		{"25.1", 16<<20 - 7, 1, false},
		{"25.1", 16<<20 - 7, 2, true},
	} {
		t.Run(fmt.Sprintf("%s %d %d", c.version, c.data, c.metadata), func(t *testing.T) {
			in(t, model.Options{Version: c.version}, func(w *world) {
				e := w.event()
				e.Data, e.Metadata = make([]byte, c.data), make([]byte, c.metadata)
				_, err := w.Leader().Append(w.Context(), true, "s", model.ExpectAny, []model.Proposed{e})
				if (err != nil) != c.refused {
					w.Errorf("%v, want a refusal: %t", err, c.refused)
				}
			})
		})
	}
}
