package api_test

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/cmd/agentidp/app/apptest"
)

// loud keeps the lines above WARN.
type loud struct {
	mu    sync.Mutex
	lines []string
}

func (l *loud) Enabled(_ context.Context, level slog.Level) bool { return level > slog.LevelWarn }
func (l *loud) WithAttrs([]slog.Attr) slog.Handler               { return l }
func (l *loud) WithGroup(string) slog.Handler                    { return l }

func (l *loud) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	return nil
}

// Clients that hang up while the ledger is being verified, and while what follows
// from it is being read, alarm nobody.
func TestClientsThatHangUpAlarmNobody(t *testing.T) {
	t.Parallel()
	log := &loud{}
	world := apptest.NewWorld(t)
	base := world.ServeLogged(t, slog.New(log))
	s := &scene{
		server: newServer(t, base), world: world,
		root: agent{id: world.Operator.ClientID, secret: world.Operator.ClientSecret, organization: world.Operator.OrganizationID},
	}
	s.operator = s.token(t, s.root, allScopes)
	n := s.tenant(t)
	for range 300 {
		s.token(t, s.root, "")
	}
	paths := []string{
		"/api/v1/audit/verify", "/api/v1/audit/verify?mode=incremental", "/api/v1/audit/verify?fromDate=2001-01-01T00:00:00Z",
		"/api/v1/audit/state/" + s.root.id, "/api/v1/compliance/report?organizationId=" + n.organization, "/api/v1/audit",
	}
	const clients, atOnce, longest = 240, 16, 40 * time.Millisecond
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i := range clients {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			ctx, hangUp := context.WithTimeout(t.Context(), rand.N(longest))
			defer hangUp()
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+paths[i%len(paths)], nil)
			if err != nil {
				t.Error(err)
				return
			}
			request.Header.Set("Authorization", "Bearer "+s.operator)
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return
			}
			defer response.Body.Close()
			if body, err := io.ReadAll(response.Body); err == nil && strings.Contains(string(body), `"verified":false`) {
				t.Errorf("%s: %s", request.URL.Path, body)
			}
		})
	}
	all.Wait()
	report := s.must(t, get(s.operator, "/api/v1/audit/verify"), 200, "")
	if report.object()["verified"] != true {
		t.Errorf("in the end: %s", report.body)
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	for _, line := range log.lines {
		t.Errorf("logged above WARN: %s", line)
	}
}
