package wait_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sentryagent/agentidp/internal/wait"
)

func TestForWaitsOrSaysThatTheContextEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		if err := wait.For(t.Context(), time.Hour); err != nil || time.Since(begin) != time.Hour {
			t.Errorf("waited for %v: %v", time.Since(begin), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begin = time.Now()
		if err := wait.For(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Minute {
			t.Errorf("waited for %v: %v", time.Since(begin), err)
		}
		if err := wait.For(ctx, -1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a context that has ended: %v", err)
		}
		if err := wait.For(t.Context(), 0); err != nil {
			t.Errorf("no time at all: %v", err)
		}
	})
}

func TestJitterIsAFifthEitherWay(t *testing.T) {
	t.Parallel()
	shortest, longest := time.Hour, time.Duration(0)
	for range 10_000 {
		d := wait.Jitter(time.Second)
		shortest, longest = min(shortest, d), max(longest, d)
	}
	if shortest < 800*time.Millisecond || shortest > 820*time.Millisecond || longest > 1200*time.Millisecond || longest < 1180*time.Millisecond {
		t.Errorf("from %v to %v, want from 0.8 s to 1.2 s", shortest, longest)
	}
}

func TestBackoffDoublesUpToItsLongest(t *testing.T) {
	t.Parallel()
	b := wait.Backoff{First: 20, Longest: 100}
	if b.Failing() {
		t.Error("it fails before the first failure")
	}
	for range 2 {
		var delays []time.Duration
		for range 5 {
			delays = append(delays, b.Next())
		}
		if want := []time.Duration{20, 40, 80, 100, 100}; !slices.Equal(delays, want) || !b.Failing() {
			t.Errorf("%v, want %v", delays, want)
		}
		b.Reset()
	}
}
