package model_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
)

// world is a cluster in virtual time.
type world struct {
	*testing.T
	*model.Cluster
	ids uint64
}

func in(t *testing.T, options model.Options, do func(*world)) {
	t.Helper()
	t.Parallel()
	inSequence(t, options, do)
}

func inSequence(t *testing.T, options model.Options, do func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c, err := model.New(options)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		do(&world{T: t, Cluster: c})
	})
}

// three is three nodes that elect their leader by themselves.
func three(seed uint64) model.Options {
	return model.Options{Nodes: 3, Elections: true, Rand: rand.New(rand.NewPCG(seed, seed))}
}

func (w *world) event() model.Proposed {
	w.ids++
	var id model.ID
	binary.BigEndian.PutUint64(id[8:], w.ids)
	return model.Proposed{ID: id, Type: "a.x", ContentType: "application/json", Data: []byte(`{}`)}
}

func (w *world) events(n int) (events []model.Proposed) {
	for range n {
		events = append(events, w.event())
	}
	return events
}

// add appends one event that has to be taken.
func (w *world) add(n *model.Node, stream string) model.Appended {
	w.Helper()
	done, err := n.Append(w.Context(), true, stream, model.ExpectAny, w.events(1))
	if err != nil || done.Wrong {
		w.Fatalf("append to %s on node %d: %+v, %v", stream, n.Number(), done, err)
	}
	return done
}

// within tries an append for so long.
func (w *world) within(d time.Duration, n *model.Node) error {
	ctx, cancel := context.WithTimeout(w.Context(), d)
	defer cancel()
	_, err := n.Append(ctx, true, "s", model.ExpectAny, w.events(1))
	return err
}

// newest is the newest event of the tests', as a node sees it.
func (w *world) newest(n *model.Node, insists bool) (uint64, error) {
	page, err := n.ReadAll(w.Context(), insists, model.End, true, 10, &model.Filter{ByType: true, Prefixes: []string{"a."}})
	if err != nil || len(page) == 0 {
		return 0, err
	}
	return page[0].Position, nil
}

// leader waits for a leader that knows it and can write.
func (w *world) leader() *model.Node {
	w.Helper()
	for range 30_000 {
		for n := range w.Nodes() {
			if n := w.Node(n); n == w.Leader() && n.Alive() && w.within(time.Millisecond, n) == nil {
				return n
			}
		}
		time.Sleep(time.Millisecond)
	}
	w.Fatal("no leader within 30 s")
	return nil
}

// followers waits until all others follow.
func (w *world) followers() (all []*model.Node) {
	w.Helper()
	for n := range w.Nodes() {
		if n := w.Node(n); n != w.Leader() {
			all = append(all, n)
		}
	}
	return all
}

func (w *world) refused(err error, code model.Code, message string) {
	w.Helper()
	var r *model.Refusal
	if !errors.As(err, &r) || r.Code != code || message != "" && r.Message != message {
		w.Errorf("%v, want a refusal with code %d: %s", err, code, message)
	}
}

func (w *world) took(what string, begin time.Time, least, most time.Duration) {
	w.Helper()
	if took := time.Since(begin); took < least || took > most {
		w.Errorf("%s took %s, want %s to %s", what, took, least, most)
	}
}

// seeds runs a test from several seeds.
func seeds(t *testing.T, do func(w *world)) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { in(t, three(seed), do) })
	}
}
