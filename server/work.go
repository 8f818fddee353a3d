package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/projections"
)

// newWork lists what a server does beside answering.
func (s *Server) newWork(ring *keyring.Keyring) []func(context.Context) {
	scheduler := s.scheduler(ring)
	s.registry.MustRegister(follow.NewCollector(s.read.progress), projections.NewCollector(s.read.progress),
		poolCollector{s.storage.pool}, positionCollector{s.storage.store, &s.watch.lost}, keyCollector{ring, s.now})
	return []func(context.Context){
		s.read.runner.Run,
		s.read.progress.Run,
		s.write.revocations.Run,
		s.http.limiter.Run,
		s.write.snapshots.Run,
		s.write.keys.Run,
		scheduler.Run,
		every(10*time.Second, s.logger, func(ctx context.Context) error { return s.write.ledger.FlushAuthFailures(ctx, false) }),
		every(time.Hour, s.logger, s.watch.anchor.Move),
		every(time.Hour, s.logger, s.write.idempotency.Prune),
		every(10*time.Minute, s.logger, s.write.assertions.Prune),
	}
}

// every runs work at intervals; a failure is logged and tried again next time.
func every(interval time.Duration, logger *slog.Logger, work func(context.Context) error) func(context.Context) {
	return func(ctx context.Context) {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if err := work(ctx); err != nil && ctx.Err() == nil {
					logger.WarnContext(ctx, "background work failed; it will be tried again", "error", err)
				}
			}
		}
	}
}
