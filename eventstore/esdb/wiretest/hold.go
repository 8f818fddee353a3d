package wiretest

import (
	"context"
	"slices"
	"sync"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
)

// hold is appends that wait and are not made.
type hold struct {
	eventType string
	arrive    func()
	over      chan struct{}
}

// Hold has appends with an event of a type wait for nothing, until it is over:
// then those that wait are refused, and others are made again. The channel is
// closed when the first has come.
func (c *Cluster) Hold(eventType string) (arrived <-chan struct{}, over func()) {
	waiting := make(chan struct{})
	h := &hold{eventType: eventType, arrive: sync.OnceFunc(func() { close(waiting) }), over: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = h
	return waiting, sync.OnceFunc(func() { close(h.over) })
}

func (c *Cluster) holding() *hold {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held
}

// check is nil for an append that is to be made.
func (h *hold) check(ctx context.Context, events []model.Proposed) error {
	if h == nil || !slices.ContainsFunc(events, func(e model.Proposed) bool { return e.Type == h.eventType }) {
		return nil
	}
	select {
	case <-h.over:
		return nil
	default:
	}
	h.arrive()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-h.over:
		return errStopping
	}
}
