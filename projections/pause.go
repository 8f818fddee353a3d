package projections

import (
	"context"
	"math/rand/v2"
	"time"
)

const answerTimeout = 3 * time.Second // for statements that take no time

// pause waits and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// jitter spreads what many processes would do at once: d, give or take a fifth.
func jitter(d time.Duration) time.Duration {
	return d*4/5 + rand.N(d*2/5+1)
}

// backoff grows from one failure to the next.
type backoff struct{ next time.Duration }

const (
	firstBackoff   = 100 * time.Millisecond
	longestBackoff = 5 * time.Second
)

func (b *backoff) delay() time.Duration {
	d := max(b.next, firstBackoff)
	b.next = min(2*d, longestBackoff)
	return jitter(d)
}

func (b *backoff) reset() { b.next = 0 }
