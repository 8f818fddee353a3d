package api_test

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sentryagent/agentidp/server/servertest"
)

// clock is a time of the test's own, the same for all servers.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

var evening = time.Date(2031, 3, 4, 21, 0, 0, 0, time.UTC)

// sceneAt is a world whose servers live in the evening.
func sceneAt(tb testing.TB, settings ...string) (*scene, *clock) {
	tb.Helper()
	c := &clock{now: evening}
	world := servertest.NewWorld(tb, settings...)
	s := &scene{
		server: newServer(tb, world.ServeAt(tb, c.Now)), world: world,
		root: agent{id: world.Operator.ClientID, secret: world.Operator.ClientSecret, organization: world.Operator.OrganizationID},
	}
	s.operator = s.token(tb, s.root, allScopes)
	return s, c
}

func put(token, path string, body any) request {
	return request{method: http.MethodPut, path: path, token: token, json: body}
}

// tally counts the answers to requests sent all at once, by status and code.
func tally(tb testing.TB, n int, send func(i int) (answer, error)) map[string]int {
	tb.Helper()
	const connections = 10
	var mu sync.Mutex
	counts := map[string]int{}
	parallel(tb, connections, func(connection int) error {
		for i := connection; i < n; i += connections {
			a, err := send(i)
			if err != nil {
				return err
			}
			mu.Lock()
			counts[strings.TrimSpace(fmt.Sprint(a.status, " ", a.code()))]++
			mu.Unlock()
		}
		return nil
	})
	return counts
}

func wantTally(tb testing.TB, got, want map[string]int) {
	tb.Helper()
	if !maps.Equal(got, want) {
		tb.Errorf("answers %v, want %v", got, want)
	}
}

const aRead = "/api/v1/agents?limit=1"

// checkWindow says what is wrong with what an answer tells about the rate limit.
func checkWindow(a answer, limit int, before time.Time) error {
	number := func(name string) int {
		n, err := strconv.Atoi(a.header.Get(name))
		if err != nil {
			return -1
		}
		return n
	}
	remaining, reset, retry := number("X-RateLimit-Remaining"), number("X-RateLimit-Reset"), number("Retry-After")
	soonest, latest := before.Unix(), time.Now().Add(62*time.Second).Unix()+1
	switch {
	case number("X-RateLimit-Limit") != limit, remaining < 0, remaining >= limit, int64(reset) < soonest, int64(reset) > latest:
		return fmt.Errorf("%d with %v, want a limit of %d that frees between %d and %d", a.status, a.header, limit, soonest, latest)
	case a.status != http.StatusTooManyRequests:
		return nil
	case remaining != 0, retry < 1, retry > 62:
		return fmt.Errorf("429 with %v, want nothing to remain and a Retry-After of 1 to 62", a.header)
	}
	if !isOAuth(a.to.path) {
		details, _ := a.object()["details"].(map[string]any)
		if details["limit"] != float64(limit) || details["windowMs"] != float64(60_000) {
			return fmt.Errorf("429 with the details %v", details)
		}
	}
	return nil
}

const nobodys = "00000000-0000-7000-8000-000000000000"

func flush(t testing.TB, redisURL string) {
	t.Helper()
	options, err := redis.ParseURL(redisURL)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	if err := client.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

// from is the request as a trusted proxy passes it on.
func from(r request, address string) request { return r.with("X-Forwarded-For", address) }

func wrongSecret(a agent) request {
	a.secret = "sk_live_" + unique() + strings.Repeat("x", 27) // another each time: the same twice is one failure
	return tokenRequest(a, "")
}
