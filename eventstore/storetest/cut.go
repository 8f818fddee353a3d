package storetest

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"

	"github.com/sentryagent/agentidp/eventstore"
)

// aReadThatIsCutOffSaysSo cuts every kind of read by its context, at each event:
// then either all events come, or the last thing that comes is the error.
func aReadThatIsCutOffSaysSo(t *testing.T, s eventstore.Store) {
	const events = 90 // more than the first page of any engine
	mustAppend(t, s, "a-1", noStream, drafts(slices.Repeat([]string{"a.x", "a.y"}, events/2)...)...)
	for name, read := range map[string]func(context.Context) iter.Seq2[eventstore.Event, error]{
		"ReadAll": func(ctx context.Context) iter.Seq2[eventstore.Event, error] {
			return s.ReadAll(ctx, 0, eventstore.Filter{})
		},
		"ReadAll of a type": func(ctx context.Context) iter.Seq2[eventstore.Event, error] {
			return s.ReadAll(ctx, 0, eventstore.Filter{Types: []string{"a.y"}})
		},
		"ReadStream forwards": func(ctx context.Context) iter.Seq2[eventstore.Event, error] {
			return s.ReadStream(ctx, "a-1", 0, eventstore.Forwards)
		},
		"ReadStream backwards": func(ctx context.Context) iter.Seq2[eventstore.Event, error] {
			return s.ReadStream(ctx, "a-1", eventstore.End, eventstore.Backwards)
		},
	} {
		all := 0
		for _, err := range read(within(t)) {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			all++
		}
		for at := range all {
			ctx, cut := context.WithCancel(within(t))
			if at == 0 {
				cut()
			}
			got, ended := 0, error(nil)
			for _, err := range read(ctx) {
				if ended != nil {
					t.Errorf("%s, cut at %d: something comes after the error", name, at)
				}
				if ended = err; err != nil {
					continue
				}
				if got++; got == at {
					cut()
				}
			}
			cut()
			if ended == nil && got != all || ended != nil && !errors.Is(ended, context.Canceled) {
				t.Errorf("%s, cut at %d: %d of %d events and %v, want %v", name, at, got, all, ended, context.Canceled)
			}
		}
		ctx, cut := context.WithCancel(within(t))
		cut()
		if newest, err := s.Newest(ctx, events, eventstore.Filter{}); err == nil && len(newest) != events {
			t.Errorf("the newest, cut off, are %d of %d and no error", len(newest), events)
		}
		if head, err := s.Head(ctx); err == nil && head == 0 {
			t.Error("the head, cut off, is that of an empty ledger")
		}
	}
}
