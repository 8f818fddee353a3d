package system_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/sentryagent/agentidp/internal/devservices"
)

const (
	redisLost = "Redis cannot count"
	redisBack = "Redis is back"
)

// admin is a client that may do everything with a private Redis.
func admin(t *testing.T, services *devservices.Services) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(services.RedisURL)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// redisURLAs is the URL of a private Redis with the name and password of somebody.
func redisURLAs(t *testing.T, services *devservices.Services, user *url.Userinfo) string {
	t.Helper()
	u, err := url.Parse(services.RedisURL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = user
	return u.String()
}

// awaitRedis waits until both kinds of health tell of Redis and the limiter what
// is wanted; the database is healthy all the while.
func (s *node) awaitRedis(t *testing.T, redisIs, mode string) {
	t.Helper()
	await(t, fmt.Sprintf("Redis to be %s and limits %s", redisIs, mode), func(ctx context.Context) error {
		overall := "degraded"
		if redisIs == "healthy" {
			overall = "healthy"
		}
		r, err := s.call(ctx, http.MethodGet, "/health", "", nil)
		if err != nil {
			return err
		}
		var brief struct {
			Status string
			Checks struct{ Database, Redis struct{ Status string } }
		}
		if err := json.Unmarshal(r.raw, &brief); err != nil {
			return err
		}
		if r.status != http.StatusOK || brief.Checks.Database.Status != "healthy" {
			t.Errorf("/health: %v, want the database healthy", r)
		}
		if brief.Status != overall || brief.Checks.Redis.Status != redisIs {
			return fmt.Errorf("%v", r)
		}
		if r, err = s.call(ctx, http.MethodGet, "/health/detailed", "", nil); err != nil {
			return err
		}
		var detailed struct {
			Dependencies struct {
				Database    struct{ Status string }
				Redis       struct{ Status string }
				RateLimiter struct{ Mode string }
			}
		}
		if err := json.Unmarshal(r.raw, &detailed); err != nil {
			return err
		}
		if detailed.Dependencies.Database.Status != "healthy" {
			t.Errorf("/health/detailed: %v, want the database healthy", r)
		}
		if detailed.Dependencies.Redis.Status != redisIs || detailed.Dependencies.RateLimiter.Mode != mode {
			return fmt.Errorf("%v", r)
		}
		return nil
	})
}

// awaitRefusals waits until Redis has refused more commands, so that a server has
// looked again.
func awaitRefusals(t *testing.T, client *redis.Client, more int) {
	t.Helper()
	line := regexp.MustCompile(`total_error_replies:(\d+)`)
	count := func(ctx context.Context) (int, error) {
		info, err := client.Info(ctx, "stats").Result()
		if err != nil {
			return 0, err
		}
		found := line.FindStringSubmatch(info)
		if found == nil {
			return 0, errors.New("Redis does not count its refusals")
		}
		return strconv.Atoi(found[1])
	}
	before, err := count(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	await(t, "Redis to refuse more", func(ctx context.Context) error {
		now, err := count(ctx)
		if err == nil && now < before+more {
			err = fmt.Errorf("%d more", now-before)
		}
		return err
	})
}

// mustHaveLogged holds how often the server said that Redis was lost, and is back.
func (s *node) mustHaveLogged(t *testing.T, lost, back int) {
	t.Helper()
	text := s.stderr.String()
	if l, b := strings.Count(text, redisLost), strings.Count(text, redisBack); l != lost || b != back {
		t.Errorf("Redis was lost %d times and came back %d times in the log, want %d and %d", l, b, lost, back)
	}
}

// A replica answers, and cannot count.
func TestARedisThatIsReadOnlyIsSeen(t *testing.T) {
	t.Parallel()
	w, services := newPrivateWorld(t)
	s, client := w.serve(t), admin(t, services)
	s.awaitRedis(t, "healthy", "shared")
	if err := client.Do(within(t, patience), "REPLICAOF", "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	s.awaitRedis(t, "degraded", "in-process")
	awaitRefusals(t, client, 3)
	s.mustToken(t, w.operator.ClientID, w.operator.ClientSecret, "")
	s.mustHaveLogged(t, 1, 0)
	if err := client.Do(within(t, patience), "REPLICAOF", "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
	s.awaitRedis(t, "healthy", "shared")
	s.mustHaveLogged(t, 1, 1)
}

// The rights that docs/configuration.md lists are enough for an account, and
// without one of them it is noticed.
func TestTheAccountAtRedisNeedsWhatIsDocumented(t *testing.T) {
	t.Parallel()
	w, services := newPrivateWorld(t)
	client := admin(t, services)
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("`(~rate:\\* [^`]+)`").FindSubmatch(text)
	if found == nil {
		t.Fatal("docs/configuration.md lists no rights for the account at Redis")
	}
	rights := strings.Fields(string(found[1]))
	account := func(name string, rights []string) string {
		rule := []any{"ACL", "SETUSER", name, "reset", "on", ">of-the-account"}
		for _, right := range rights {
			rule = append(rule, right)
		}
		if err := client.Do(within(t, patience), rule...).Err(); err != nil {
			t.Fatal(err)
		}
		return "REDIS_URL=" + redisURLAs(t, services, url.UserPassword(name, "of-the-account"))
	}
	enough := w.serve(t, account("enough", rights))
	enough.awaitRedis(t, "healthy", "shared")

	lacking := []string{"no-evalsha"}
	for _, right := range rights {
		if right != "+evalsha" {
			lacking = append(lacking, right)
		}
	}
	s := w.serve(t, account(lacking[0], lacking[1:]))
	s.awaitRedis(t, "degraded", "in-process")
	awaitRefusals(t, client, 3)
	s.mustHaveLogged(t, 1, 0)
	enough.mustHaveLogged(t, 0, 0)
}

func TestAWrongPasswordAtRedisIsSeen(t *testing.T) {
	t.Parallel()
	w, services := newPrivateWorld(t)
	client := admin(t, services)
	s := w.serve(t, "REDIS_URL="+redisURLAs(t, services, url.UserPassword("", "wrong-password")))
	s.awaitRedis(t, "unreachable", "in-process")
	awaitRefusals(t, client, 3)
	s.mustToken(t, w.operator.ClientID, w.operator.ClientSecret, "")
	s.mustHaveLogged(t, 1, 0)
	if strings.Contains(s.stderr.String(), "wrong-password") {
		t.Error("the log has the password")
	}
}

// A Redis that hangs takes nothing from what is known of the database.
func TestARedisThatHangsIsSeen(t *testing.T) {
	t.Parallel()
	w, services := newPrivateWorld(t)
	s, client := w.serve(t), admin(t, services)
	s.awaitRedis(t, "healthy", "shared")
	info, err := client.Info(within(t, patience), "server").Result()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(regexp.MustCompile(`process_id:(\d+)`).FindStringSubmatch(info)[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	resume := func() { _ = syscall.Kill(pid, syscall.SIGCONT) }
	defer resume()
	s.awaitRedis(t, "unreachable", "in-process")
	s.mustToken(t, w.operator.ClientID, w.operator.ClientSecret, "")
	s.awaitRedis(t, "unreachable", "in-process")
	s.mustHaveLogged(t, 1, 0)
	resume()
	s.awaitRedis(t, "healthy", "shared")
	s.mustHaveLogged(t, 1, 1)
}
