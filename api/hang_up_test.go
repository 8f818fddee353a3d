package api_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/server/servertest"
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

// hangingUp are clients that are gone before their answer is there: after so many
// bytes of it, or after so long, whichever comes first.
type hangingUp struct {
	address, token string
	complete       atomic.Int64 // answers that arrived whole
}

// get asks for a path and hangs up. Where abrupt is set, the connection is reset.
func (h *hangingUp) get(ctx context.Context, path string, most int64, longest time.Duration, abrupt bool) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", h.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if tcp, is := conn.(*net.TCPConn); is && abrupt {
		if err := tcp.SetLinger(0); err != nil {
			return err
		}
	}
	if err := conn.SetDeadline(time.Now().Add(longest)); err != nil {
		return err
	}
	request := "GET " + path + " HTTP/1.1\r\nHost: " + h.address + "\r\nAuthorization: Bearer " + h.token + "\r\nConnection: close\r\n\r\n"
	if _, err := io.WriteString(conn, request); err != nil {
		return nil // the time was up
	}
	answer, err := io.ReadAll(io.LimitReader(conn, most))
	if err == nil && int64(len(answer)) < most {
		h.complete.Add(1)
	}
	if bytes.Contains(answer, []byte(`"verified":false`)) || bytes.HasPrefix(answer, []byte("HTTP/1.1 5")) {
		return fmt.Errorf("%s: %s", path, answer)
	}
	return nil
}

// Clients that hang up while the ledger is being verified, and while what follows
// from it, its log or its trail is being read, alarm nobody.
func TestClientsThatHangUpAlarmNobody(t *testing.T) {
	t.Parallel()
	log := &loud{}
	world := servertest.NewWorld(t)
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
	event := texts(s.must(t, get(s.operator, "/api/v1/audit?limit=1"), 200, "").list("data"), "eventId")[0]
	paths := []string{
		"/api/v1/audit/verify", "/api/v1/audit/verify?mode=incremental", "/api/v1/audit/verify?fromDate=2001-01-01T00:00:00Z",
		"/api/v1/audit/state/" + s.root.id, "/api/v1/compliance/report?organizationId=" + n.organization,
		"/api/v1/audit?limit=100", "/api/v1/audit?action=token.issued&limit=100&page=3",
		"/api/v1/audit/" + event + "/proof", "/api/v1/ledger/consistency?from=1", "/ledger/tile/0/000.p/200", "/api/v1/agents?limit=100",
	}
	clients := &hangingUp{address: strings.TrimPrefix(base, "http://"), token: s.operator}
	whole := make([]int64, len(paths)) // bytes of each answer
	for i, path := range paths {
		answer := s.must(t, get(s.operator, path), 200, "")
		whole[i] = int64(len(answer.body)) + 600 // and of its head, about
	}

	const hangUps, atOnce, longest = 1000, 16, 40 * time.Millisecond
	rng := rand.New(rand.NewPCG(11, 1000))
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i := range hangUps {
		which := rng.IntN(len(paths))
		most, after, abrupt := rng.Int64N(whole[which]), time.Duration(rng.Int64N(int64(longest))), rng.IntN(2) == 0
		if i%2 == 0 { // by bytes alone, however long those take
			after = time.Minute
		}
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			if err := clients.get(t.Context(), paths[which], most, after, abrupt); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	t.Logf("%d of %d answers arrived whole", clients.complete.Load(), hangUps)
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
