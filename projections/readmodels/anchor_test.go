package readmodels_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

func TestAnchorKnowsItsLedger(t *testing.T) {
	w := newWorld(t)
	agent, organization := newAgentID(), newOrganizationID()
	first := draft(t, organization, time.Now(), created(agent, organization))
	other := memory.New() // has the same event at another position
	record(t, other, newStream(), organization, created(newAgentID(), organization))
	var position eventstore.Position
	for _, store := range []eventstore.Store{other, w.store} {
		appended, err := store.Append(t.Context(), domain.AgentStream(agent), eventstore.NoStream(), first)
		if err != nil {
			t.Fatal(err)
		}
		position = appended.Position()
	}
	own := readmodels.NewAnchor(w.pool, w.store, w.queries)
	moved := readmodels.NewAnchor(w.pool, other, w.queries.WithLedger(other))
	lost := readmodels.NewAnchor(w.pool, memory.New(), w.queries)
	for _, anchor := range []*readmodels.Anchor{own, moved, lost} {
		if err := anchor.Check(t.Context()); err != nil {
			t.Errorf("a database without an anchor: %v", err)
		}
	}
	for what, drop := range map[string]func() error{
		"begin": func() error { return own.Begin(t.Context(), domain.AgentStream(agent)) },
		"move": func() error {
			if _, err := w.admin.Exec(t.Context(), `DELETE FROM ledger_anchor`); err != nil {
				t.Fatal(err)
			}
			waitAll(t, w.follow(t), position)
			return own.Move(t.Context())
		},
	} {
		if err := drop(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		w.mustKnow(t, own, moved, lost)
	}
}

// mustKnow: the anchor is in its own ledger alone.
func (w *world) mustKnow(t *testing.T, own, moved, lost *readmodels.Anchor) {
	t.Helper()
	for name, c := range map[string]struct {
		anchor *readmodels.Anchor
		want   func(error) bool
	}{
		"its own": {own, func(err error) bool { return err == nil }},
		"moved":   {moved, func(err error) bool { return errors.Is(err, eventstore.ErrOtherLedger) }},
		"empty":   {lost, func(err error) bool { return errors.As(err, new(*eventstore.LostError)) }},
	} {
		for what, err := range map[string]error{"check": c.anchor.Check(t.Context()), "move": c.anchor.Move(t.Context())} {
			if !c.want(err) {
				t.Errorf("%s the ledger %s: %v", what, name, err)
			}
		}
	}
}
