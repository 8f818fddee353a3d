package limits

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// shared counts in Redis, for all nodes.
type shared struct{ calls *calls }

func newShared(client *redis.Client) shared { return shared{&calls{redis: client}} }

func (s shared) take(ctx context.Context, now time.Time, d Demand) (Outcome, error) {
	return s.calls.run(ctx, now, d)
}
