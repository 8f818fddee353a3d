package health

import (
	"context"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/api/gen"
)

// probePause is how long after one look at what this node depends on the next one
// begins, at the earliest. Anybody may ask for health as often as it likes, and
// the database and Redis must not feel it.
const probePause = 20 * time.Millisecond

// probes has those who ask for health share looks: one at a time, and each begins
// after everybody who gets its answer has asked, so that nobody hears old news.
type probes struct {
	mu       sync.Mutex // guards next
	next     *look      // has not begun; nil when nobody waits
	previous chan struct{}
}

// look is complete when done is closed.
type look struct {
	done   chan struct{}
	ledger ledgerHealth
	redis  gen.DependencyHealth
}

// shared asks, together with others. Who asked first may hang up; the others get
// their answer all the same. How long it takes is bounded by the probes.
func (p *probes) shared(ctx context.Context, ask func(context.Context) (ledgerHealth, gen.DependencyHealth)) (ledgerHealth, gen.DependencyHealth) {
	p.mu.Lock()
	l := p.next
	if l == nil {
		l = &look{done: make(chan struct{})}
		p.next = l
		before, after := p.previous, make(chan struct{})
		p.previous = after
		go p.run(context.WithoutCancel(ctx), l, before, after, ask)
	}
	p.mu.Unlock()
	<-l.done
	return l.ledger, l.redis
}

// run waits for the pause after the look before; nil when there was none.
func (p *probes) run(ctx context.Context, l *look, before, after chan struct{}, ask func(context.Context) (ledgerHealth, gen.DependencyHealth)) {
	if before != nil {
		<-before
	}
	p.mu.Lock()
	p.next = nil // who comes from here on waits for another
	p.mu.Unlock()
	l.ledger, l.redis = ask(ctx)
	close(l.done)
	time.AfterFunc(probePause, func() { close(after) })
}
