package limits

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/sentryagent/agentidp/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// taker is what Redis and one node alone have in common.
type taker func(now time.Time, d Demand) (Outcome, error)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func redisOf(t testing.TB) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(pgtest.Redis(t))
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// bothWays runs a test against Redis and against one node's own count.
func bothWays(t *testing.T, test func(t *testing.T, take taker)) {
	t.Run("shared", func(t *testing.T) {
		t.Parallel()
		s := newShared(redisOf(t))
		test(t, func(now time.Time, d Demand) (Outcome, error) { return s.take(context.Background(), now, d) })
	})
	t.Run("local", func(t *testing.T) {
		t.Parallel()
		test(t, newLocal().take)
	})
}

func mustTake(t testing.TB, take taker, now time.Time, d Demand) Outcome {
	t.Helper()
	outcome, err := take(now, d)
	if err != nil {
		t.Fatalf("take %+v: %v", d, err)
	}
	return outcome
}

func windows(w ...Window) Demand { return Demand{Windows: w} }

func today(most int) Counter {
	return Counter{Key: "calls", Max: most, Period: "2026-11-23", Ends: noon.Add(12 * time.Hour)}
}

func tomorrow(most int) Counter {
	return Counter{Key: "calls", Max: most, Period: "2026-11-24", Ends: noon.Add(36 * time.Hour)}
}

func TestOfManyAtOnceExactlyTheLimitPasses(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, take taker) {
		const most, sent, clients = 100, 300, 10
		var mu sync.Mutex
		var group sync.WaitGroup
		passed, highest := 0, 0
		for range clients {
			group.Go(func() {
				for range sent / clients {
					outcome, err := take(noon, windows(Window{"client", most, time.Minute}))
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					highest = max(highest, outcome.Windows[0].Count)
					if outcome.Passed() {
						passed++
					}
					mu.Unlock()
				}
			})
		}
		group.Wait()
		if passed != most || highest != most {
			t.Errorf("%d of %d passed with a count up to %d, want %d", passed, sent, highest, most)
		}
	})
}

// Whatever the pattern, no span of time has more hits than the limit, and what
// a window says is when the next one passes.
func TestNoSpanHasMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, take taker) {
		const most, rounds = 20, 1500
		window := Window{"client", most, 1700 * time.Millisecond} // not divisible into its parts
		random := rand.New(rand.NewPCG(1, 2))
		var passed []time.Time
		now := noon
		for range rounds {
			now = now.Add(time.Duration(random.IntN(120)) * time.Millisecond)
			outcome := mustTake(t, take, now, windows(window))
			if outcome.Passed() {
				passed = append(passed, now)
				continue
			}
			frees := outcome.Windows[0].Frees
			if !frees.After(now) || frees.Sub(now) > window.life() {
				t.Fatalf("at %s the window frees at %s", now, frees)
			}
			if early := mustTake(t, take, frees.Add(-time.Millisecond), windows(window)); early.Passed() {
				t.Fatalf("it passed before %s", frees)
			}
			if random.IntN(4) == 0 {
				now = frees
				if late := mustTake(t, take, now, windows(window)); !late.Passed() {
					t.Fatalf("it did not pass at %s: %+v", frees, late)
				}
				passed = append(passed, now)
			}
		}
		for i := most; i < len(passed); i++ {
			if span := passed[i].Sub(passed[i-most]); span <= window.Span {
				t.Fatalf("%d hits in %s, want more than %s for them", most+1, span, window.Span)
			}
		}
		if len(passed) < rounds/3 {
			t.Errorf("only %d of %d passed", len(passed), rounds)
		}
	})
}

func TestFullWindowCountsNothingAnywhere(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, take taker) {
		wide, tight := Window{"wide", 10, time.Minute}, Window{"tight", 1, time.Minute}
		mustTake(t, take, noon, windows(wide, tight))
		outcome := mustTake(t, take, noon, Demand{Windows: []Window{wide, tight}, Counters: []Counter{today(10)}})
		if outcome.FullWindow != 1 || outcome.Windows[0].Count != 1 || outcome.Counts[0] != 0 {
			t.Errorf("got %+v, want the second window full and nothing counted", outcome)
		}
	})
}

func TestFullCounterHasCountedForTheWindows(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, take taker) {
		d := Demand{Windows: []Window{{"client", 10, time.Minute}}, Counters: []Counter{today(1)}}
		mustTake(t, take, noon, d)
		outcome := mustTake(t, take, noon, d)
		want := Outcome{FullWindow: -1, FullCounter: 0, Windows: []State{{2, outcome.Windows[0].Frees}}, Counts: []int{1}}
		if diff := cmp.Diff(want, outcome); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

func TestLookingCountsNothing(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, take taker) {
		d := Demand{Windows: []Window{{"client", 1, time.Minute}}, Counters: []Counter{today(1)}}
		look := d
		look.Look = true
		for range 3 {
			if outcome := mustTake(t, take, noon, look); !outcome.Passed() || outcome.Counts[0] != 0 || outcome.Windows[0].Count != 0 {
				t.Fatalf("looking gave %+v", outcome)
			}
		}
		mustTake(t, take, noon, d)
		if outcome := mustTake(t, take, noon, look); outcome.FullWindow != 0 || outcome.FullCounter != 0 || outcome.Counts[0] != 1 {
			t.Errorf("after one hit looking gave %+v", outcome)
		}
	})
}

func TestPeriodsDoNotMix(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, take taker) {
		d := func(c Counter) Demand { return Demand{Counters: []Counter{c}} }
		for i := range 3 {
			if outcome := mustTake(t, take, noon, d(today(2))); outcome.Passed() != (i < 2) {
				t.Fatalf("hit %d of today: %+v", i+1, outcome)
			}
		}
		midnight := noon.Add(12 * time.Hour)
		if outcome := mustTake(t, take, midnight, d(tomorrow(2))); !outcome.Passed() || outcome.Counts[0] != 1 {
			t.Fatalf("the first of tomorrow: %+v", outcome)
		}
		// A node whose clock is behind counts for the day that has begun.
		if outcome := mustTake(t, take, noon, d(today(2))); !outcome.Passed() || outcome.Counts[0] != 2 {
			t.Fatalf("from a clock that is behind: %+v", outcome)
		}
		if outcome := mustTake(t, take, midnight, d(tomorrow(2))); outcome.Passed() {
			t.Errorf("a third of tomorrow: %+v", outcome)
		}
	})
}

func TestWhatIsOnRecordIsAskedForAndNotGuessed(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, take taker) {
		c := today(7)
		c.OnRecord, c.Floor = true, Unknown
		d := Demand{Windows: []Window{{"client", 5, time.Minute}}, Counters: []Counter{c}}
		if _, err := take(noon, d); !errors.Is(err, ErrUncounted) {
			t.Fatalf("error %v, want ErrUncounted", err)
		}
		known := d
		known.Counters = []Counter{c}
		known.Counters[0].Floor = 5
		if outcome := mustTake(t, take, noon, known); outcome.Counts[0] != 6 || outcome.Windows[0].Count != 1 {
			t.Fatalf("counted from the floor: %+v, want 6 and one hit in the window", outcome)
		}
		if outcome := mustTake(t, take, noon, d); outcome.Counts[0] != 7 {
			t.Errorf("once it is known: %+v, want 7", outcome)
		}
		if outcome := mustTake(t, take, noon, d); outcome.FullCounter != 0 {
			t.Errorf("one more: %+v, want it full", outcome)
		}
	})
}

func TestUnboundedIsOnlyCounted(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, take taker) {
		d := Demand{Windows: []Window{{"w", Unbounded, time.Minute}}, Counters: []Counter{today(Unbounded)}}
		for i := range 50 {
			outcome := mustTake(t, take, noon, d)
			if !outcome.Passed() || outcome.Windows[0].Count != i+1 || outcome.Counts[0] != i+1 {
				t.Fatalf("hit %d: %+v", i+1, outcome)
			}
		}
	})
}

// Keys in Redis do not outlive what they are for.
func TestKeysExpire(t *testing.T) {
	t.Parallel()
	client := redisOf(t)
	s := newShared(client)
	mustTake(t, func(now time.Time, d Demand) (Outcome, error) { return s.take(t.Context(), now, d) }, noon,
		Demand{Windows: []Window{{"w", 5, time.Minute}}, Counters: []Counter{today(5)}})
	for key, want := range map[string]time.Duration{"w": 62 * time.Second, "calls": 12 * time.Hour} {
		if ttl, err := client.PTTL(t.Context(), key).Result(); err != nil || ttl > want || ttl < want-5*time.Second {
			t.Errorf("%s lives for another %s (%v), want about %s", key, ttl, err, want)
		}
	}
}

func BenchmarkTake(b *testing.B) {
	client := redisOf(b)
	s := newShared(client)
	local := newLocal()
	d := func(i int) Demand {
		return Demand{Windows: []Window{{fmt.Sprint("rate:client:", i%100), 10_000, time.Minute}}, Counters: []Counter{today(Unbounded)}}
	}
	for name, take := range map[string]taker{
		"local":  local.take,
		"shared": func(now time.Time, d Demand) (Outcome, error) { return s.take(context.Background(), now, d) },
		"ping": func(time.Time, Demand) (Outcome, error) {
			return Outcome{}, client.Ping(context.Background()).Err()
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := take(noon.Add(time.Duration(i)*time.Millisecond), d(i)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
