package limits

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// together has demands that wait at the same moment decided on.
func together(ctx context.Context, s *shared, now time.Time, demands ...Demand) []result {
	calls := make([]*call, len(demands))
	for i, d := range demands {
		calls[i] = &call{now: now, demand: d, done: make(chan struct{})}
	}
	s.mu.Lock()
	s.waiting, s.busy = append(s.waiting, calls...), true
	s.mu.Unlock()
	s.seeTo(ctx)
	results := make([]result, len(calls))
	for i, call := range calls {
		<-call.done
		results[i] = call.result
	}
	return results
}

// Whatever waits together, also when Redis has lost the script, and whatever
// was before: each demand has the outcome that it would have had on one node
// that takes them one after another.
func TestTogetherIsAsIfOneAfterAnother(t *testing.T) {
	t.Parallel()
	client := redisOf(t)
	rapid.Check(t, func(t *rapid.T) {
		ctx := t.Context()
		if err := client.FlushDB(ctx).Err(); err != nil {
			t.Fatal(err)
		}
		s, alone, now := newShared(client), newLocal(), noon
		for range rapid.IntRange(1, 6).Draw(t, "rounds") {
			now = now.Add(time.Duration(rapid.IntRange(0, 1500).Draw(t, "pause, ms")) * time.Millisecond)
			if rapid.Bool().Draw(t, "script lost") {
				if err := client.ScriptFlush(ctx).Err(); err != nil {
					t.Fatal(err)
				}
			}
			demands := rapid.SliceOfN(rapid.Custom(anyDemand), 1, 12).Draw(t, "demands")
			for i, got := range together(ctx, s, now, demands...) {
				want, err := alone.take(now, demands[i])
				if !errors.Is(got.err, err) {
					t.Fatalf("demand %d, %+v: error %v, want %v", i, demands[i], got.err, err)
				}
				if diff := cmp.Diff(want, got.outcome, cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("demand %d, %+v: -want +got:\n%s", i, demands[i], diff)
				}
			}
		}
	})
}

// anyDemand is for some of a few windows and counters that it shares with
// others, so that there are full ones and unknown ones among them.
func anyDemand(t *rapid.T) Demand {
	most := rapid.IntRange(Unbounded, 8)
	d := Demand{Look: rapid.Bool().Draw(t, "look")}
	for _, w := range windows(Window{"narrow", 0, time.Second}, Window{"odd", 0, 1700 * time.Millisecond}, Window{"wide", 0, time.Minute}).Windows {
		if rapid.Bool().Draw(t, w.Key) {
			w.Max = most.Draw(t, "max")
			d.Windows = append(d.Windows, w)
		}
	}
	if rapid.Bool().Draw(t, "calls") {
		day := rapid.SampledFrom([]Counter{today(0), tomorrow(0)}).Draw(t, "day")
		day.Max = most.Draw(t, "max")
		d.Counters = append(d.Counters, day)
	}
	if rapid.Bool().Draw(t, "tokens") {
		d.Counters = append(d.Counters, Counter{
			Key: "tokens", Max: most.Draw(t, "max"), Period: "2026-11", Ends: noon.AddDate(0, 1, 0),
			OnRecord: true, Floor: rapid.SampledFrom([]int{Unknown, Unknown, 0, 3}).Draw(t, "floor"),
		})
	}
	return d
}

func TestWhatOneDemandDoesNotKnowIsNoConcernOfTheOthers(t *testing.T) {
	t.Parallel()
	unknown := today(10)
	unknown.Key, unknown.OnRecord, unknown.Floor = "tokens", true, Unknown
	known := Demand{Windows: []Window{{"client", 10, time.Minute}}, Counters: []Counter{today(10)}}
	lacking := Demand{Windows: known.Windows, Counters: []Counter{today(10), unknown}}

	results := together(t.Context(), newShared(redisOf(t)), noon, known, lacking, known)
	if !errors.Is(results[1].err, ErrUncounted) {
		t.Errorf("the one that lacks a count: error %v, want ErrUncounted", results[1].err)
	}
	for i, want := range map[int]int{0: 1, 2: 2} {
		got := results[i]
		if got.err != nil || !got.outcome.Passed() || got.outcome.Counts[0] != want || got.outcome.Windows[0].Count != want {
			t.Errorf("demand %d: %+v, want it counted as number %d", i, got, want)
		}
	}
}

// A backlog is counted once, with the demand that brings it; whoever looks sees
// it with its own.
func TestBacklogIsCountedWithTheDemandThatBringsIt(t *testing.T) {
	t.Parallel()
	bringing := func(backlog int, look bool) Demand {
		c := today(10)
		c.backlog = backlog
		return Demand{Counters: []Counter{c}, Look: look}
	}
	results := together(t.Context(), newShared(redisOf(t)), noon,
		bringing(0, false), bringing(5, true), bringing(5, false), bringing(0, true), bringing(3, false), bringing(0, true))
	var got []int
	for _, r := range results {
		got = append(got, r.outcome.Counts...)
	}
	if diff := cmp.Diff([]int{1, 6, 7, 7, 10, 10}, got); diff != "" || results[4].outcome.FullCounter != 0 {
		t.Errorf("counts, -want +got:\n%s\nand the fifth: %+v, want its counter full", diff, results[4].outcome)
	}
}

// What an earlier version kept as hashes under the same keys counts as nothing.
func TestForeignValuesAreReplaced(t *testing.T) {
	t.Parallel()
	client := redisOf(t)
	for _, key := range []string{"client", "calls"} {
		if err := client.HSet(t.Context(), key, "count", 7).Err(); err != nil {
			t.Fatal(err)
		}
	}
	l := node(t, client)
	d := Demand{Windows: []Window{{"client", 5, time.Minute}}, Counters: []Counter{today(3)}}
	if got := passes(t, l, d, 10); got != 3 || l.Alone() {
		t.Errorf("%d passed, alone: %t; want 3 and not alone", got, l.Alone())
	}
}
