package pgtest

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/internal/devservices"
)

// Private starts a PostgreSQL and a Redis for tb alone, for tests that stop, restart or flush them. It takes a second or two.
func Private(tb testing.TB) *devservices.Services {
	tb.Helper()
	dir, err := devservices.TempDir()
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	services, err := devservices.Start(tb.Context(), devservices.Options{Dir: dir, Volatile: true})
	if err != nil {
		tb.Fatalf("pgtest: start private services: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := services.Stop(ctx); err != nil {
			tb.Errorf("pgtest: stop private services: %v", err)
		}
		if err := os.RemoveAll(dir); err != nil {
			tb.Errorf("pgtest: %v", err)
		}
	})
	return services
}
