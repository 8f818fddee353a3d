package model_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
	"github.com/sentryagent/agentidp/internal/rounds"
)

// The same seed brings the same outcome, to each of several callers at once.
func TestASeedReplays(t *testing.T) {
	t.Parallel()
	for seed := range uint64(rounds.Of(10)) {
		if first, second := round(t, seed), round(t, seed); first != second {
			t.Errorf("seed %d: \n%s\n%s", seed, first, second)
		}
	}
}

func round(t *testing.T, seed uint64) (outcome string) {
	options := three(seed)
	options.Latency = 2 * time.Millisecond
	t.Run("", func(t *testing.T) {
		inSequence(t, options, func(w *world) {
			ctx, stop := context.WithTimeout(w.Context(), time.Minute)
			defer stop()
			logs := make([]strings.Builder, 8)
			var callers sync.WaitGroup
			for i := range logs {
				callers.Go(func() { w.call(ctx, i, seed, &logs[i]) })
			}
			rng := rand.New(rand.NewPCG(seed, 1))
			for ctx.Err() == nil {
				n := w.Node(rng.IntN(3))
				n.Freeze()
				time.Sleep(time.Duration(rng.Int64N(int64(9 * time.Second))))
				n.Wake()
				time.Sleep(time.Duration(rng.Int64N(int64(5 * time.Second))))
			}
			callers.Wait()
			for i := range logs {
				outcome += logs[i].String()
			}
		})
	})
	return outcome
}

// call appends and reads, and writes down what came of it and when.
func (w *world) call(ctx context.Context, number int, seed uint64, log *strings.Builder) {
	rng := rand.New(rand.NewPCG(seed, uint64(number+2)))
	stream, begin := fmt.Sprint("s", number), time.Now()
	for ctx.Err() == nil {
		n := w.Node(rng.IntN(3))
		call, cancel := context.WithTimeout(ctx, time.Second)
		e := model.Proposed{Type: "a.x"}
		for i := range e.ID {
			e.ID[i] = byte(rng.Uint32())
		}
		done, err := n.Append(call, true, stream, model.ExpectAny, []model.Proposed{e})
		page, readErr := n.ReadAll(call, true, model.End, true, 1, nil)
		cancel()
		fmt.Fprintln(log, number, time.Since(begin), done, err, len(page), readErr)
		time.Sleep(time.Duration(rng.Int64N(int64(100 * time.Millisecond))))
	}
}
