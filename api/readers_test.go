package api_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/server/servertest"
)

// 500 readers of history of one tenant are served, or told when to come again, on
// either engine: 429 for what is their tenant's own bound, 503 for the server's,
// nothing else. Meanwhile another tenant gets every token that it asks for, and is
// served its own trail.
func TestManyReadersOfOneTenantStopNobody(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{config.EventStorePostgres, config.EventStoreESDB} {
		t.Run(engine, func(t *testing.T) {
			settings := []string{"EVENTSTORE=" + engine}
			if engine == config.EventStoreESDB {
				_, settings = servertest.ESDB(t, 1)
			}
			s := newScene(t, settings...)
			greedy, other := s.tenant(t), s.tenant(t)
			for range 100 {
				s.token(t, greedy.agent, "")
			}
			paths := []string{"/api/v1/audit/state/" + greedy.id, "/api/v1/audit?limit=100", "/api/v1/audit/verify"}
			const readers = 500
			var mu sync.Mutex // guards answers
			answers := map[string]int{}
			var all sync.WaitGroup
			begin := make(chan struct{})
			for i := range readers {
				path := paths[i%len(paths)]
				all.Go(func() {
					<-begin
					a, err := s.do(get(greedy.token, path))
					if err == nil {
						err = servedOrTold(a)
					}
					if err != nil {
						t.Errorf("%s: %v", path, err)
					}
					mu.Lock()
					defer mu.Unlock()
					answers[fmt.Sprintf("%d %s", a.status, strings.Split(path, "?")[0])]++
				})
			}
			all.Go(func() {
				<-begin
				for range 30 {
					if _, err := s.want(tokenRequest(other.agent, ""), http.StatusOK, ""); err != nil {
						t.Errorf("another tenant's token: %v", err)
					}
				}
				if _, err := s.want(get(other.token, "/api/v1/audit?limit=100"), http.StatusOK, ""); err != nil {
					t.Errorf("another tenant's trail: %v", err)
				}
			})
			close(begin)
			all.Wait()
			t.Logf("answers: %v", answers)
			for _, path := range paths {
				if answers["200 "+strings.Split(path, "?")[0]] == 0 {
					t.Errorf("nobody was served %s", path)
				}
			}
		})
	}
}

func servedOrTold(a answer) error {
	switch a.status {
	case http.StatusOK:
		return nil
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if after, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || after < 1 || after > 60 {
			return fmt.Errorf("%d with Retry-After %q", a.status, a.header.Get("Retry-After"))
		}
		return nil
	}
	return fmt.Errorf("%d %s, want to be served or told when to come again", a.status, a.body)
}
