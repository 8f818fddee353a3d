package revocation

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/internal/wait"
)

// sharedReads runs one read at a time for all callers that wait, and a second one
// where many wait. Nobody joins a read that began before it called, and the end of
// one caller's context is not the others' concern.
type sharedReads struct {
	read  func(callers int) (pauseUntil time.Time, err error)
	crowd int // so many who wait have a second read; 0: none do

	mu      sync.Mutex // guards what follows
	next    *flight    // gathers callers; its read has not begun
	running bool       // a goroutine takes care of next
	second  bool       // one more read is under way
}

// flight is one read and those who wait for it.
type flight struct {
	done    chan struct{} // closed when err is set
	err     error
	callers int
}

func (g *sharedReads) join(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	g.mu.Lock()
	f := g.next
	if f == nil {
		f = &flight{done: make(chan struct{})}
		g.next = f
	}
	f.callers++
	switch {
	case !g.running:
		g.running = true
		go g.fly()
	case g.crowd > 0 && f.callers >= g.crowd && !g.second:
		g.second, g.next = true, nil
		go g.flyBeside(f)
	}
	g.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fly reads until nobody waits any more.
func (g *sharedReads) fly() {
	for {
		// Yield once, so that callers that are ready join this read.
		runtime.Gosched()
		g.mu.Lock()
		f := g.next
		g.next = nil // who comes from here on waits for the read after this one
		if f == nil {
			g.running = false
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()

		pauseUntil, err := g.read(f.callers)
		f.err = err
		close(f.done)
		// The goroutine stays for the pause, so that callers of it gather.
		_ = wait.For(context.Background(), time.Until(pauseUntil))
	}
}

// flyBeside reads for a crowd, who need not wait until the read under way is over.
func (g *sharedReads) flyBeside(f *flight) {
	_, f.err = g.read(f.callers)
	close(f.done)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.second = false
}
