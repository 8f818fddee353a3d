package esdb_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/projections"
)

// ours is a node of ours as far as the ledger goes: the engine, the index of
// revocations and the commands.
type ours struct {
	dialer  *lossy
	options esdb.Options

	mu   sync.Mutex // guards what follows
	life *life      // nil while it is stopped
}

// life is a node from its start to its stop.
type life struct {
	store       *esdb.Store
	revocations *projections.Revocations
	ledger      *ledger.Ledger
	stop        func()
}

func (o *ours) start() {
	l := &life{store: esdb.NewOn(o.dialer, o.options)}
	l.revocations = projections.NewRevocations(l.store, projections.RevocationsOptions{})
	l.ledger = ledger.New(l.store, nil, l.revocations, ledger.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { keepFresh(ctx, l.revocations) })
	l.stop = func() {
		cancel()
		l.store.Close()
		running.Wait()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.life = l
}

// keepFresh does what Run does. That waits for a mutex while another has it over
// a read of the ledger, and meanwhile virtual time stands still.
func keepFresh(ctx context.Context, r *projections.Revocations) {
	for ctx.Err() == nil {
		if r.Sync(ctx) == nil {
			r.Prune(time.Now())
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (o *ours) stop() {
	o.mu.Lock()
	l := o.life
	o.life = nil
	o.mu.Unlock()
	if l != nil {
		l.stop()
	}
}

// current is the life of a node that runs, nil where it does not.
func (o *ours) current() *life {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.life
}

// lossy loses answers on their way: what was asked for was done, and the
// connection is gone. And it makes some mistakes where a test wants to see them
// found.
type lossy struct {
	wire.Dialer
	losing  atomic.Bool
	mistake mistake

	mu  sync.Mutex // guards rng
	rng *rand.Rand
}

// mistake is one that an engine, or what it rests on, could make.
type mistake string

const (
	none            mistake = ""
	unproven        mistake = "whoever answers is taken for the leader"
	takenForWritten mistake = "an append is told as written that was never sent"
	skipping        mistake = "what comes after a record that is gone is left out"
)

func (l *lossy) Dial(ctx context.Context) (wire.Conn, error) {
	c, err := l.Dialer.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return &lossyConn{Conn: c, by: l}, nil
}

func (l *lossy) chance(of float64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rng.Float64() < of
}

var errLost = errors.New("the answer was lost")

type lossyConn struct {
	wire.Conn
	by *lossy
}

func (c *lossyConn) lost() bool {
	if !c.by.losing.Load() || !c.by.chance(0.3) {
		return false
	}
	c.Retire(errLost)
	return true
}

func (c *lossyConn) Append(ctx context.Context, stream string, expected int64, events []wire.Proposal) (wire.Position, error) {
	if c.by.mistake == unproven && stream == "barrier" {
		return wire.Start, nil
	}
	if c.by.mistake == takenForWritten && expected >= 0 && c.by.chance(0.05) {
		page, err := c.Conn.ReadAll(ctx, wire.End, eventstore.Backwards, 1)
		if err == nil && len(page) > 0 {
			return wire.At(page[0].Position.Commit + 1000), nil
		}
	}
	at, err := c.Conn.Append(ctx, stream, expected, events)
	if err == nil && c.lost() {
		return wire.Start, &wire.Error{Verdict: wire.Broken, Err: errLost}
	}
	return at, err
}

func (c *lossyConn) ReadAll(ctx context.Context, from wire.Position, direction eventstore.Direction, count int) ([]wire.Record, error) {
	page, err := c.Conn.ReadAll(ctx, from, direction, count)
	if err == nil && c.lost() {
		return nil, &wire.Error{Verdict: wire.Broken, Err: errLost}
	}
	if c.by.mistake == skipping && direction == eventstore.Forwards && from != wire.Start && len(page) > 1 && page[0].Position.Commit != from.Commit {
		page = page[1:]
	}
	return page, err
}
