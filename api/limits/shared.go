package limits

import (
	"context"
	_ "embed"
	"math"
	"runtime"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed take.lua
var takeScript string

var takeLua = redis.NewScript(takeScript)

// shared counts in Redis, for all nodes. Demands that come while others are
// under way are decided on together: a busy node pays for one run of take.lua
// what an idle one pays for each.
type shared struct {
	redis *redis.Client
	batch *batch // of whoever sees to those who wait

	mu      sync.Mutex // guards what follows
	waiting []*call
	busy    bool // somebody sees to those who wait, and nobody else takes any of them out
}

// call is a demand that waits for its result.
type call struct {
	now    time.Time
	demand Demand
	done   chan struct{} // closed when the result is set
	result
}

// result is what became of a demand; an error other than [ErrUncounted] says
// that Redis could not be asked.
type result struct {
	outcome Outcome
	err     error
}

const mostTogether = 128

func newShared(client *redis.Client) *shared { return &shared{redis: client, batch: newBatch()} }

// take waits for the outcome as long as the client's timeouts let it.
func (s *shared) take(ctx context.Context, now time.Time, d Demand) (Outcome, error) {
	own := &call{now: now, demand: d, done: make(chan struct{})}
	s.mu.Lock()
	s.waiting = append(s.waiting, own)
	idle := !s.busy
	s.busy = true
	s.mu.Unlock()
	if idle {
		go s.seeTo(context.WithoutCancel(ctx))
	}
	<-own.done
	return own.outcome, own.err
}

// seeTo those who wait until nobody does.
func (s *shared) seeTo(ctx context.Context) {
	for waiting := s.next(); len(waiting) > 0; waiting = s.next() {
		b := s.batch
		b.empty()
		together := 0
		for together < len(waiting) && b.add(waiting[together].now, waiting[together].demand) {
			together++
		}
		results, err := s.decide(ctx, b)
		if err != nil {
			together = math.MaxInt // where Redis is away the others would only wait longer
		}
		for i, call := range s.release(together) {
			call.result = result{err: err}
			if err == nil {
				call.result = results[i]
			}
			close(call.done)
		}
	}
}

// next gives those who have waited longest. It yields once first, so that callers
// that are ready join this batch.
func (s *shared) next() []*call {
	runtime.Gosched()
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.waiting[:min(len(s.waiting), mostTogether)]
	s.busy = len(waiting) > 0
	return waiting
}

// release takes up to n out.
func (s *shared) release(n int) []*call {
	s.mu.Lock()
	defer s.mu.Unlock()
	n = min(n, len(s.waiting))
	released := s.waiting[:n]
	s.waiting = s.waiting[n:]
	return released
}

// decide brings the script along where Redis does not have it.
func (s *shared) decide(ctx context.Context, b *batch) ([]result, error) {
	keys, args := b.keysAndArgs()
	answer, err := takeLua.Run(ctx, s.redis, keys, args...).Int64Slice()
	if err != nil {
		return nil, err
	}
	return b.read(answer)
}
