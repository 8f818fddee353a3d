package health

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/timestamp"
	"github.com/sentryagent/agentidp/ledger"
)

// EventStore is how the ledger's own server is reached, where the ledger is not
// in the database.
type EventStore struct {
	Connection string    // connecting, connected or unavailable
	Since      time.Time // when it came to be so
	Failures   int       // attempts to connect since there was a connection last
	Transport  string    // tls, tls_unverified or plaintext
}

// ledgerHealth is how the database and the ledger answer.
type ledgerHealth struct {
	head       ledger.Position
	known      bool            // the head is
	lost       ledger.Position // of an event that was there and lies beyond the head; 0: none is known
	database   gen.DependencyHealth
	eventStore *gen.EventStoreHealth // nil where the ledger is in the database
	transport  gen.EventStoreHealthTransport
}

// detailed is how the ledger's own server stands, with how it is reached.
func (h ledgerHealth) detailed() *gen.EventStoreHealth {
	if h.eventStore == nil || h.transport == "" {
		return h.eventStore
	}
	detailed := *h.eventStore // others read the same one
	detailed.Transport = &h.transport
	return &detailed
}

// probeAll asks everything that this node depends on, side by side, each within
// bounds of its own: one that hangs takes nothing from what is known of the others.
func (h *Handler) probeAll(ctx context.Context) (ledger ledgerHealth, redis gen.DependencyHealth) {
	const patience = 2 * time.Second
	within := func(ask func(context.Context)) func() {
		return func() {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			ask(ctx)
		}
	}
	var both sync.WaitGroup
	both.Go(within(func(ctx context.Context) { ledger = h.probeLedger(ctx) }))
	both.Go(within(func(ctx context.Context) {
		redis = probe(func() error { return h.Redis.Ping(ctx).Err() })
	}))
	both.Wait()
	if redis.Status == healthy && h.Limiter.Alone() {
		redis.Status = degraded // it answers, and cannot count
	}
	return ledger, redis
}

// probeLedger asks both at the same time: that one of them takes all the time
// there is says nothing of the other.
func (h *Handler) probeLedger(ctx context.Context) (found ledgerHealth) {
	readHead := func() (err error) {
		known := max(h.Ledger.KnownEnd(), h.Revocations.Latest().Position()) // before the head is asked for
		found.head, err = h.Ledger.Head(ctx)
		if found.known = err == nil; found.known && found.head < known {
			found.lost = known
		}
		if gone := (*ledger.LostError)(nil); errors.As(err, &gone) {
			found.lost = gone.Known
		}
		return err
	}
	if h.EventStore == nil {
		found.database = probe(func() error {
			if err := readHead(); err != nil {
				return err
			}
			return h.Queries.Ping(ctx)
		})
		h.gradeSchema(&found.database)
		return found
	}
	var answer gen.DependencyHealth
	var both sync.WaitGroup
	both.Go(func() { answer = probe(readHead) })
	found.database = probe(func() error { return h.Queries.Ping(ctx) })
	both.Wait()
	h.gradeSchema(&found.database)
	store := h.EventStore() // after the answer: it may have found out that the connection is broken
	found.transport = gen.EventStoreHealthTransport(store.Transport)
	found.eventStore = &gen.EventStoreHealth{
		Status: gen.EventStoreHealthStatus(answer.Status), LatencyMs: answer.LatencyMs,
		Connection: gen.EventStoreHealthConnection(store.Connection), Since: timestamp.Of(store.Since), Failures: store.Failures,
	}
	return found
}

// gradeSchema has a database that answers and lacks what this build needs degraded.
func (h *Handler) gradeSchema(database *gen.DependencyHealth) {
	if database.Status == healthy && h.Server.LacksSchema() {
		database.Status = degraded
	}
}

// position is that of the newest event; nil when that cannot be told.
func (h ledgerHealth) position() *int64 {
	if !h.known {
		return nil
	}
	position := int64(h.head)
	return &position
}

// lostPosition is that of an event that is gone from the ledger's end; nil where
// none is known.
func (h ledgerHealth) lostPosition() *int64 {
	if h.lost == 0 {
		return nil
	}
	position := int64(h.lost)
	return &position
}

func (h ledgerHealth) reachable() bool {
	return h.database.Status != unreachable && (h.eventStore == nil || h.eventStore.Status != unreachable)
}

func (h ledgerHealth) healthy() bool {
	return h.database.Status == healthy && (h.eventStore == nil || h.eventStore.Status == healthy)
}

// slow is from when on a dependency that answers is degraded.
const slow = time.Second

// probe tells how long an answer took; of one that did not come, nothing.
func probe(ping func() error) gen.DependencyHealth {
	start := time.Now()
	if err := ping(); err != nil {
		return gen.DependencyHealth{Status: unreachable}
	}
	return graded(time.Since(start))
}

func graded(took time.Duration) gen.DependencyHealth {
	latency := float64(took.Microseconds()) / 1000
	health := gen.DependencyHealth{Status: healthy, LatencyMs: &latency}
	if took > slow {
		health.Status = degraded
	}
	return health
}
