package limits

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Limiter decides on demands: by Redis, for all nodes together, or while Redis
// is away by itself. It is safe for concurrent use.
type Limiter struct {
	redis  *redis.Client
	shared *shared
	local  *local
	now    func() time.Time
	logger *slog.Logger
	away   atomic.Bool // Redis, or it cannot count; nobody asks it until a probe has found that it can
}

// New makes a limiter. It needs [Limiter.Run] to find a Redis that was away.
func New(client *redis.Client, now func() time.Time, logger *slog.Logger) *Limiter {
	return &Limiter{redis: client, shared: newShared(client), local: newLocal(), now: now, logger: logger}
}

// Take decides on a demand and counts it. The error is [ErrUncounted] or nil.
func (l *Limiter) Take(ctx context.Context, d Demand) (Outcome, error) {
	now := l.now()
	// What this node has let through counts in Redis too, unless Redis has lost
	// it: a caller that has used all of it up here need not be asked for there.
	if outcome, spent := l.local.spent(now, d.Windows); spent {
		return outcome, nil
	}
	if !l.away.Load() {
		lent, uncounted := l.local.lend(d)
		if uncounted {
			return Outcome{}, ErrUncounted
		}
		// A caller that goes away must not look like a Redis that does.
		outcome, err := l.shared.take(context.WithoutCancel(ctx), now, lent)
		l.local.settle(now, lent, outcome, err)
		if err == nil || errors.Is(err, ErrUncounted) {
			return outcome, err
		}
		l.lost(ctx, err)
	}
	return l.local.take(now, d)
}

// Count counts hits that nothing bounds, without asking Redis: it is told
// within a second or so.
func (l *Limiter) Count(counters ...Counter) { l.local.count(counters) }

// Forget drops a count everywhere but on the other nodes.
func (l *Limiter) Forget(ctx context.Context, key string) {
	l.local.forget(key)
	if l.away.Load() {
		return
	}
	if err := l.redis.Del(context.WithoutCancel(ctx), key).Err(); err != nil {
		l.lost(ctx, err)
	}
}

// Alone reports whether this node decides by itself.
func (l *Limiter) Alone() bool { return l.away.Load() }

// Run looks each second whether a Redis that was away is back, and tells it
// what was counted without it. When ctx ends it does so for the last time.
func (l *Limiter) Run(ctx context.Context) {
	const interval, farewell = time.Second, 2 * time.Second
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	l.probe(ctx)
	for {
		select {
		case <-ticker.C:
			l.probe(ctx)
			l.flush(ctx)
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
			defer cancel()
			l.flush(ctx)
			return
		}
	}
}

func (l *Limiter) lost(ctx context.Context, err error) {
	if l.away.CompareAndSwap(false, true) {
		l.logger.WarnContext(ctx, "Redis cannot count: limits are counted on this node alone", "error", err)
	}
}

// probe does all that counting needs, each second: a Redis that answers and
// cannot count (a read-only replica, a node of a Redis Cluster, an account that
// lacks a right) is as good as none, whether or not a caller has met it yet.
func (l *Limiter) probe(ctx context.Context) {
	err := l.shared.probe(ctx, l.now())
	switch {
	case ctx.Err() != nil:
	case err != nil:
		l.lost(ctx, err)
	case l.away.CompareAndSwap(true, false):
		l.logger.InfoContext(ctx, "Redis is back: limits are shared again")
	}
}

func (l *Limiter) flush(ctx context.Context) {
	if l.away.Load() {
		return
	}
	for _, c := range l.local.reclaim(l.now()) {
		// It cannot be uncounted: the Floor is 0.
		_, _ = l.Take(ctx, Demand{Counters: []Counter{c}})
	}
}
