package limits

import (
	"context"
	_ "embed"
	"runtime"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed take.lua
var takeScript string

var take = redis.NewScript(takeScript)

// calls runs take.lua. Calls that come while others are under way are decided
// on together: a busy node pays for one run what an idle one pays for each.
type calls struct {
	redis *redis.Client

	mu      sync.Mutex // guards what follows
	waiting []*call
	busy    bool // somebody sees to those who wait
}

// call is one demand.
type call struct {
	now    time.Time
	demand Demand
	done   chan struct{} // closed when the result is set
	result
}

const mostTogether = 128

// run waits for the outcome as long as the client's timeouts let it.
func (c *calls) run(ctx context.Context, now time.Time, d Demand) (Outcome, error) {
	own := &call{now: now, demand: d, done: make(chan struct{})}
	c.mu.Lock()
	c.waiting = append(c.waiting, own)
	idle := !c.busy
	c.busy = true
	c.mu.Unlock()
	if idle {
		go c.send(context.WithoutCancel(ctx))
	}
	<-own.done
	return own.outcome, own.err
}

// send sees to those who wait until nobody does.
func (c *calls) send(ctx context.Context) {
	for {
		// Whoever is about to ask does so first. Where nothing else can run this
		// takes no time, and where much can it makes few batches of many.
		runtime.Gosched()
		together, b := c.next()
		if len(together) == 0 {
			return
		}
		results, err := c.decide(ctx, b)
		if err != nil {
			together = append(together, c.giveUp()...)
		}
		for i, call := range together {
			if err != nil {
				call.err = err
			} else {
				call.result = results[i]
			}
			close(call.done)
		}
	}
}

// next takes those who have waited longest, none when nobody waits.
func (c *calls) next() (together []*call, b *batch) {
	b = newBatch()
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for n < min(len(c.waiting), mostTogether) && b.add(c.waiting[n].now, c.waiting[n].demand) {
		n++
	}
	together, c.waiting = c.waiting[:n:n], c.waiting[n:]
	c.busy = n > 0
	return together, b
}

// giveUp takes those who wait: where Redis is away they would only wait longer.
func (c *calls) giveUp() []*call {
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting := c.waiting
	c.waiting = nil
	return waiting
}

// decide gives an error when Redis could not be asked. A script that it does
// not have is brought along.
func (c *calls) decide(ctx context.Context, b *batch) ([]result, error) {
	keys, args := b.keysAndArgs()
	answer, err := take.Run(ctx, c.redis, keys, args...).Int64Slice()
	if err != nil {
		return nil, err
	}
	return b.read(answer)
}
