// Package wait has the pauses of loops that try again.
package wait

import (
	"context"
	"math/rand/v2"
	"time"
)

// For waits for a time, and returns early with the context's error when that
// ends. A time that is over waits for nothing.
func For(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Jitter is d, give or take a fifth at random. It spreads what many processes
// would do at once.
func Jitter(d time.Duration) time.Duration {
	return d*4/5 + rand.N(d*2/5+1)
}

// Backoff is the time between tries: First after a failure, and twice as long
// after each further one, but never longer than Longest.
type Backoff struct {
	First, Longest time.Duration

	next time.Duration
}

// Next is how long to wait now, without jitter.
func (b *Backoff) Next() time.Duration {
	d := max(b.next, b.First)
	b.next = min(2*d, b.Longest)
	return d
}

// For waits for the next time, spread by [Jitter], as [For] does.
func (b *Backoff) For(ctx context.Context) error { return For(ctx, Jitter(b.Next())) }

// Failing reports whether there has been a failure since the last success.
func (b *Backoff) Failing() bool { return b.next > 0 }

// Reset follows a success.
func (b *Backoff) Reset() { b.next = 0 }
