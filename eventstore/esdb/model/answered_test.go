package model_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
)

// Whatever befalls the nodes, what was answered is there, once, where it was
// said to be.
func TestWhatWasAnsweredIsNeverLost(t *testing.T) {
	seeds(t, func(w *world) {
		rng := rand.New(rand.NewPCG(7, w.ids))
		ctx, stop := context.WithTimeout(w.Context(), 2*time.Minute)
		defer stop()
		var writers sync.WaitGroup
		answered := make([][]uint64, 4)
		for i := range answered {
			writers.Go(func() { answered[i] = w.write(ctx, string(rune('a'+i))) })
		}
		for ctx.Err() == nil {
			n := w.Node(rng.IntN(3))
			switch rng.IntN(4) {
			case 0:
				n.Freeze()
			case 1:
				w.Cut(n)
			case 2:
				n.Kill()
			case 3:
				w.Resign()
			}
			time.Sleep(time.Duration(rng.Int64N(int64(10 * time.Second))))
			w.Cut()
			n.Wake()
			n.Start()
			time.Sleep(time.Duration(rng.Int64N(int64(5 * time.Second))))
		}
		writers.Wait()
		all, err := w.leader().ReadAll(w.Context(), true, model.Start, false, 1<<20, nil)
		if err != nil {
			w.Fatal(err)
		}
		there := map[uint64]string{}
		for _, r := range all {
			there[r.Position] = r.Stream
		}
		for i, positions := range answered {
			if len(positions) < 100 {
				w.Errorf("writer %d had %d answers", i, len(positions))
			}
			for _, p := range positions {
				if there[p] != string(rune('a'+i)) {
					w.Errorf("the append answered with position %d is gone", p)
				}
			}
		}
	})
}

// write appends to a stream for as long as ctx lasts, by whichever node takes
// it.
func (w *world) write(ctx context.Context, stream string) (answered []uint64) {
	next := int64(-1)
	for n := 0; ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		e := model.Proposed{Type: "a.x", Data: []byte(stream)}
		rand.NewChaCha8([32]byte{stream[0], byte(len(answered)), byte(len(answered) >> 8)}).Read(e.ID[:])
		for ctx.Err() == nil {
			call, cancel := context.WithTimeout(ctx, time.Second)
			done, err := w.Node(n).Append(call, true, stream, next, []model.Proposed{e})
			cancel()
			if err == nil && !done.Wrong {
				answered, next = append(answered, done.Position), done.Current
				break
			}
			if err == nil {
				w.Errorf("stream %s is at %d, %d was the last answer", stream, done.Current, next)
				return answered
			}
			n = (n + 1) % 3
			time.Sleep(10 * time.Millisecond)
		}
	}
	return answered
}
