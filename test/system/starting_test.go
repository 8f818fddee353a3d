package system_test

import (
	"context"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/internal/config"
)

// A start that takes long answers on the server's port that it does, and what it
// waits for, and hands the port over without a gap in which a connection is lost for
// good.
func TestAStartThatTakesLongSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorldOn(t, config.EventStoreESDB)
	w.eventStore.Delay(400 * time.Millisecond)
	s := w.launchServer(t, freePort(t))
	await(t, "the start to be told of", func(ctx context.Context) error {
		r, err := s.call(ctx, http.MethodGet, "/health", "", nil)
		if err != nil {
			return err
		}
		starting, told := r.body["starting"].(map[string]any)
		if !told || r.status != http.StatusServiceUnavailable || r.body["status"] != "unhealthy" || starting["waitingFor"] == "" {
			t.Fatalf("while it starts: %d %s", r.status, r.raw)
		}
		if r, err = s.call(ctx, http.MethodGet, "/health/live", "", nil); err != nil || r.status != http.StatusOK {
			t.Errorf("alive: %v, %v", r, err)
		}
		if r, err = s.call(ctx, http.MethodGet, "/api/v1/agents", "", nil); err != nil || r.status != http.StatusServiceUnavailable || !strings.Contains(string(r.raw), "is starting") {
			t.Errorf("a request: %v, %v", r, err)
		}
		return nil
	})
	w.eventStore.Delay(0)
	s.healthy(t, patience)
	s.mustToken(t, w.operator.ClientID, w.operator.ClientSecret, "")
	s.signal(t, syscall.SIGTERM)
	s.wait(t, patience)
}
