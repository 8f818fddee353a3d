package limits

import (
	"context"
	_ "embed"
	"sync"

	"github.com/redis/go-redis/v9"
)

//go:embed take.lua
var takeScript string

var take = redis.NewScript(takeScript)

// calls runs take.lua. Calls that come while others are under way travel
// together: a busy node pays for one round trip what an idle one pays for each.
type calls struct {
	redis *redis.Client

	mu      sync.Mutex // guards what follows
	waiting []*call
	busy    bool // somebody sees to those who wait
}

// call is one run of the script.
type call struct {
	keys   []string
	args   []any
	done   chan struct{} // closed when answer and err are set
	answer []int64
	err    error
}

const mostTogether = 128

// run waits for the answer as long as the client's timeouts let it.
func (c *calls) run(ctx context.Context, keys []string, args []any) ([]int64, error) {
	own := &call{keys: keys, args: args, done: make(chan struct{})}
	c.mu.Lock()
	c.waiting = append(c.waiting, own)
	idle := !c.busy
	c.busy = true
	c.mu.Unlock()
	if idle {
		go c.send(context.WithoutCancel(ctx))
	}
	<-own.done
	return own.answer, own.err
}

// send sees to those who wait until nobody does.
func (c *calls) send(ctx context.Context) {
	for {
		c.mu.Lock()
		n := min(len(c.waiting), mostTogether)
		together := c.waiting[:n:n]
		c.waiting = c.waiting[n:]
		c.busy = n > 0
		c.mu.Unlock()
		if n == 0 {
			return
		}
		err := c.sendTogether(ctx, together)
		if err != nil {
			together = append(together, c.giveUp()...)
		}
		for _, call := range together {
			if err != nil {
				call.err = err
			}
			close(call.done)
		}
	}
}

// giveUp takes those who wait: where Redis is away they would only wait longer.
func (c *calls) giveUp() []*call {
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting := c.waiting
	c.waiting = nil
	return waiting
}

// sendTogether gives an error when Redis could not be asked. A script that it
// does not have yet is brought along.
func (c *calls) sendTogether(ctx context.Context, together []*call) error {
	if len(together) == 1 {
		call := together[0]
		call.answer, call.err = take.Run(ctx, c.redis, call.keys, call.args...).Int64Slice()
		return call.err
	}
	commands := make([]*redis.Cmd, len(together))
	pipe := c.redis.Pipeline()
	for i, call := range together {
		commands[i] = pipe.EvalSha(ctx, take.Hash(), call.keys, call.args...)
	}
	_, err := pipe.Exec(ctx)
	if err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
		if err := take.Load(ctx, c.redis).Err(); err != nil {
			return err
		}
		return c.sendTogether(ctx, together)
	}
	if err != nil {
		return err
	}
	for i, call := range together {
		call.answer, call.err = commands[i].Int64Slice()
	}
	return nil
}
