package ordered_test

import (
	"context"
	"errors"
	"testing"

	"github.com/sentryagent/agentidp/internal/ordered"
)

// A sequence ends without an error only when its items have ended.
func TestWhatTheContextCutsOffIsNoEnd(t *testing.T) {
	t.Parallel()
	const items = 100
	count := func(yield func(int, error) bool) {
		for i := range items {
			if !yield(i, nil) {
				return
			}
		}
	}
	same := func() func(int) (int, error) { return func(i int) (int, error) { return i, nil } }
	for at := range items {
		for range 20 {
			ctx, stop := context.WithCancel(t.Context())
			got, cut := 0, error(nil)
			for i, err := range ordered.Map(ctx, 2, count, same) {
				if cut = err; err != nil {
					break
				}
				if i != got {
					t.Fatalf("cut at %d: got %d, want %d", at, i, got)
				}
				if got++; i == at {
					stop()
				}
			}
			stop()
			if got != items && !errors.Is(cut, context.Canceled) {
				t.Fatalf("cut at %d: %d of %d items and %v, want %v", at, got, items, cut, context.Canceled)
			}
		}
	}
}
