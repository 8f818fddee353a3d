package server

import (
	"context"
	"log/slog"
	"time"
)

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
