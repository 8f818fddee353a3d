package limits

import (
	"context"
	"errors"
	"time"
)

// The keys that a probe counts under.
const (
	probeWindow  = "rate:probe:window"
	probeCounter = "rate:probe:counter"
)

// probe runs the script as demands do, on a window and a counter of its own:
// once where there may be none yet, and once where there is one, which is
// another command; then it drops them.
func (s *shared) probe(ctx context.Context, now time.Time) error {
	demand := Demand{
		Windows:  []Window{{Key: probeWindow, Max: Unbounded, Span: time.Minute}},
		Counters: []Counter{{Key: probeCounter, Max: Unbounded, Period: "probe", Ends: now.Add(time.Minute)}},
	}
	for range 2 {
		if _, err := s.take(ctx, now, demand); err != nil {
			return err
		}
	}
	return errors.Join(s.redis.Del(ctx, probeWindow).Err(), s.redis.Del(ctx, probeCounter).Err())
}
