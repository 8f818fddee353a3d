package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// lease is how long a database stays taken when its test process is killed.
const lease = 30 * time.Minute

// Redis gives the URL of an empty Redis database that is tb's alone until tb ends. Commands on the whole server, such as
// FLUSHALL, meet other tests too: use [Private] for those.
func Redis(tb testing.TB) string {
	tb.Helper()
	i := use(tb)
	directory, err := redis.ParseURL(i.redisURL)
	if err != nil {
		tb.Fatal("pgtest: AGENTIDP_TEST_REDIS_URL is not a Redis URL")
	}
	client := redis.NewClient(directory)
	tb.Cleanup(func() { _ = client.Close() })
	number, err := takeDatabase(tb.Context(), client)
	if err != nil {
		tb.Fatalf("pgtest: take a Redis database: %v", err)
	}
	if err := flush(tb.Context(), client, number); err != nil {
		tb.Fatalf("pgtest: empty Redis database %d: %v", number, err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(flush(ctx, client, number), client.Del(ctx, leaseKey(number)).Err()); err != nil {
			tb.Errorf("pgtest: give Redis database %d back: %v", number, err)
		}
	})
	u, err := url.Parse(i.redisURL)
	if err != nil {
		tb.Fatal("pgtest: AGENTIDP_TEST_REDIS_URL is not a URL")
	}
	u.Path = "/" + strconv.Itoa(number)
	return u.String()
}

// takeDatabase leases one of the numbers from 1; database 0 is the directory of leases.
func takeDatabase(ctx context.Context, client *redis.Client) (int, error) {
	settings, err := client.ConfigGet(ctx, "databases").Result()
	if err != nil {
		return 0, err
	}
	total, err := strconv.Atoi(settings["databases"])
	if err != nil {
		return 0, err
	}
	for range total {
		turn, err := client.Incr(ctx, "pgtest:turn").Result()
		if err != nil {
			return 0, err
		}
		number := 1 + int(turn%int64(total-1))
		taken, err := client.SetNX(ctx, leaseKey(number), "taken", lease).Result()
		if err != nil || taken {
			return number, err
		}
	}
	return 0, fmt.Errorf("all %d are taken", total)
}

func leaseKey(number int) string { return "pgtest:lease:" + strconv.Itoa(number) }

func flush(ctx context.Context, client *redis.Client, number int) error {
	_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Do(ctx, "SELECT", number)
		p.FlushDB(ctx)
		p.Do(ctx, "SELECT", 0)
		return nil
	})
	return err
}
