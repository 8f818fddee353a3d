package limits

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sentryagent/agentidp/internal/pgtest"
)

// node is a limiter of a test, at noon.
func node(t testing.TB, client *redis.Client) *Limiter {
	t.Helper()
	return New(client, func() time.Time { return noon }, slog.New(slog.DiscardHandler))
}

// deaf is a Redis that nobody answers at.
func deaf(t testing.TB) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func passes(t testing.TB, l *Limiter, d Demand, attempts int) (passed int) {
	t.Helper()
	for range attempts {
		outcome, err := l.Take(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if outcome.Passed() {
			passed++
		}
	}
	return passed
}

func TestNodesShareTheLimit(t *testing.T) {
	t.Parallel()
	client := redisOf(t)
	a, b := node(t, client), node(t, client)
	d := Demand{Windows: []Window{{"client", 100, time.Minute}}}
	var group sync.WaitGroup
	counts := make([]int, 10)
	for i := range counts {
		group.Go(func() { counts[i] = passes(t, []*Limiter{a, b}[i%2], d, 30) })
	}
	group.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	if total != 100 {
		t.Errorf("%d of 300 passed, want 100", total)
	}
}

func TestWithoutRedisEachNodeGivesItsOwnShareAndNoMore(t *testing.T) {
	t.Parallel()
	l := node(t, deaf(t))
	d := Demand{Windows: []Window{{"client", 100, time.Minute}}, Counters: []Counter{today(70)}}
	if got := passes(t, l, d, 300); got != 70 || !l.Alone() {
		t.Errorf("%d passed, alone: %t; want 70 and alone", got, l.Alone())
	}
}

// What was let through with Redis counts when it is gone, and the other way
// round.
func TestRedisGoesAndComesBack(t *testing.T) {
	t.Parallel()
	services := pgtest.Private(t)
	options, err := redis.ParseURL(services.RedisURL)
	if err != nil {
		t.Fatal(err)
	}
	options.MaxRetries = -1
	client := redis.NewClient(options)
	defer client.Close()
	a, b := node(t, client), node(t, client)
	d := Demand{Windows: []Window{{"client", 100, time.Minute}}, Counters: []Counter{today(Unbounded)}}

	if got := passes(t, a, d, 40) + passes(t, b, d, 20); got != 60 {
		t.Fatalf("%d passed, want 60", got)
	}
	if err := services.StopRedis(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := passes(t, a, d, 200); got != 60 || !a.Alone() {
		t.Errorf("node a, which had let 40 through, let %d more through, alone: %t; want 60", got, a.Alone())
	}
	if got := passes(t, b, d, 200); got != 80 {
		t.Errorf("node b, which had let 20 through, let %d more through, want 80", got)
	}
	if err := services.StartRedis(t.Context()); err != nil { // empty
		t.Fatal(err)
	}
	a.probe(t.Context())
	b.probe(t.Context())
	if a.Alone() || b.Alone() {
		t.Fatal("the nodes have not found Redis again")
	}
	if got := passes(t, a, d, 5) + passes(t, b, d, 5); got != 0 {
		t.Errorf("%d passed beyond each node's 100", got)
	}
	a.flush(t.Context())
	b.flush(t.Context())
	outcome, err := a.Take(t.Context(), Demand{Counters: []Counter{today(Unbounded)}, Look: true})
	// Each node tells what it knows: a of the first 40 and its 60, b of its 80.
	// Of the 20 that b let through before Redis was lost, a had not heard.
	if err != nil || outcome.Counts[0] != 180 {
		t.Errorf("Redis knows of %v calls (%v), want 180", outcome.Counts, err)
	}
}

func TestFlushedRedisIsToldWhatANodeKnows(t *testing.T) {
	t.Parallel()
	client := redisOf(t)
	l := node(t, client)
	d := Demand{Counters: []Counter{today(10)}}
	passes(t, l, d, 8)
	if err := client.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if got := passes(t, l, d, 10); got != 2 {
		t.Errorf("%d more passed, want 2", got)
	}
}

// The count that is on record wins against what a node remembers, and what a
// node counted alone is not counted twice.
func TestFlushedRedisAsksForWhatIsOnRecord(t *testing.T) {
	t.Parallel()
	client := redisOf(t)
	l := node(t, client)
	c := today(100)
	c.OnRecord, c.Floor = true, Unknown
	uncounted := func() bool {
		_, err := l.Take(t.Context(), Demand{Counters: []Counter{c}})
		return errors.Is(err, ErrUncounted)
	}
	count := func(floor int) int {
		known := c
		known.Floor = floor
		outcome, err := l.Take(t.Context(), Demand{Counters: []Counter{known}})
		if err != nil {
			t.Fatal(err)
		}
		return outcome.Counts[0]
	}
	if !uncounted() || count(5) != 6 || uncounted() {
		t.Fatal("it is not counted from the record on")
	}
	if err := client.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if !uncounted() || count(30) != 31 {
		t.Error("a flushed Redis does not start from the record")
	}
	l.away.Store(true)
	if uncounted() {
		t.Error("alone: what the node knows is not used")
	}
	l.away.Store(false)
	if !uncounted() {
		t.Error("back: what was counted alone is not looked up")
	}
	if got := count(32); got != 33 {
		t.Errorf("back: counted to %d, want 33", got)
	}
}

func TestHitsThatNothingBoundsArriveWithTheNextFlush(t *testing.T) {
	t.Parallel()
	client := redisOf(t)
	l, other := node(t, client), node(t, client)
	for range 25 {
		l.Count(today(Unbounded))
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	l.Run(ctx) // the last thing it does
	outcome, err := other.Take(t.Context(), Demand{Counters: []Counter{today(Unbounded)}, Look: true})
	if err != nil || outcome.Counts[0] != 25 {
		t.Errorf("the other node sees %v (%v), want 25", outcome.Counts, err)
	}
}

func TestCallerThatLeavesIsNoRedisThatLeaves(t *testing.T) {
	t.Parallel()
	l := node(t, redisOf(t))
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if _, err := l.Take(ctx, windows(Window{"client", 1, time.Minute})); err != nil || l.Alone() {
		t.Errorf("error %v, alone: %t", err, l.Alone())
	}
}

func TestForgottenCountStartsAnew(t *testing.T) {
	t.Parallel()
	l := node(t, redisOf(t))
	d := Demand{Counters: []Counter{today(3)}}
	passes(t, l, d, 3)
	l.Forget(t.Context(), "calls")
	if got := passes(t, l, d, 5); got != 3 {
		t.Errorf("%d passed, want 3", got)
	}
}
