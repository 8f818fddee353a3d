package model_test

import (
	"encoding/binary"
	"testing"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
)

// What a call to the model costs: rounds in virtual time make millions of them.
func BenchmarkCalls(b *testing.B) {
	c, err := model.New(model.Options{Nodes: 3})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	n, ids := c.Leader(), uint64(0)
	add := func(b *testing.B) {
		e := model.Proposed{Type: "a.x", ContentType: "application/json", Data: make([]byte, 500)}
		binary.BigEndian.PutUint64(e.ID[:], ids)
		ids++
		if _, err := n.Append(b.Context(), true, "s", model.ExpectAny, []model.Proposed{e}); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("append", func(b *testing.B) {
		for b.Loop() {
			add(b)
		}
	})
	b.Run("head", func(b *testing.B) {
		for b.Loop() {
			if _, err := n.ReadAll(b.Context(), true, model.End, true, 1, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("append and receive", func(b *testing.B) {
		sub, err := n.Subscribe(b.Context(), true, model.End, nil, model.Window{})
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			add(b)
			for {
				m, err := sub.Receive(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				if m.Kind == model.EventAppeared && !m.Event.System() {
					break
				}
			}
		}
	})
}
