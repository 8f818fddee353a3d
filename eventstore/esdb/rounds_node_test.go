package esdb_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// ours is a node of ours as far as the ledger goes: the engine, the index of
// revocations and the commands.
type ours struct {
	open   func() *esdb.Store
	seed   uint64
	dialer *lossy // in virtual time

	mu   sync.Mutex // guards what follows
	life *life      // nil while it is stopped
}

// oddTimeout is one that does not end at the same moment as other waits that began
// with it: what happens at one moment does so in no order.
const oddTimeout = 5*time.Second + 3217*time.Microsecond

// life is a node from its start to its stop.
type life struct {
	store       *esdb.Store
	revocations *revocation.Index
	ledger      *ledger.Ledger
	stop        func()
}

func (o *ours) start() {
	l := &life{store: o.open()}
	l.revocations = revocation.New(l.store, revocation.Options{Timeout: oddTimeout})
	l.ledger = ledger.New(l.store, nil, l.revocations, ledger.Options{Jitter: jitter(o.seed)})
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
func keepFresh(ctx context.Context, r *revocation.Index) {
	for ctx.Err() == nil {
		if _, err := r.Sync(ctx); err == nil {
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
	seed    uint64
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

// chance follows from the seed, the moment and the matter, so that it does not
// matter who comes first.
func (l *lossy) chance(of float64, matter string) bool {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(matter)) // never fails
	return momentary(l.seed^hash.Sum64()).Float64() < of
}

// jitter draws pauses in the same way.
func jitter(seed uint64) func(most time.Duration) time.Duration {
	return func(most time.Duration) time.Duration {
		return time.Duration(momentary(seed).Int64N(int64(most) + 1))
	}
}

// momentary is chance at this moment.
func momentary(seed uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(time.Now().UnixNano())))
}

var errLost = errors.New("the answer was lost")

type lossyConn struct {
	wire.Conn
	by *lossy
}

func (c *lossyConn) lost(matter string) bool {
	if !c.by.losing.Load() || !c.by.chance(0.3, matter) {
		return false
	}
	c.Retire(errLost)
	return true
}

func (c *lossyConn) Append(ctx context.Context, stream string, expected int64, events []wire.Proposal) (wire.Written, error) {
	if c.by.mistake == unproven && stream == "barrier" {
		return wire.Written{}, nil
	}
	if c.by.mistake == takenForWritten && expected >= 0 && c.by.chance(0.05, stream) {
		page, err := c.Conn.ReadAll(ctx, wire.End, eventstore.Backwards, 1)
		if err == nil && len(page) > 0 {
			return wire.Written{Position: wire.At(page[0].Position.Commit + 1000), Revision: expected + int64(len(events))}, nil
		}
	}
	at, err := c.Conn.Append(ctx, stream, expected, events)
	if err == nil && c.lost(stream) {
		return wire.Written{}, &wire.Error{Verdict: wire.Broken, Err: errLost}
	}
	return at, err
}

func (c *lossyConn) ReadAll(ctx context.Context, from wire.Position, direction eventstore.Direction, count int) ([]wire.Record, error) {
	page, err := c.Conn.ReadAll(ctx, from, direction, count)
	if err == nil && c.lost(fmt.Sprint(from, direction, count)) {
		return nil, &wire.Error{Verdict: wire.Broken, Err: errLost}
	}
	if c.by.mistake == skipping && direction == eventstore.Forwards && from != wire.Start && len(page) > 1 && page[0].Position.Commit != from.Commit {
		page = page[1:]
	}
	return page, err
}
