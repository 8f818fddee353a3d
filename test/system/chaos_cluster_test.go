package system_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/lease"
	"github.com/sentryagent/agentidp/internal/realstore"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/test/chaos"
)

// cluster is some nodes on one ledger, each with its own way to what it needs.
type cluster struct {
	*world
	nodes []*chaosNode
}

func newCluster(tb testing.TB, engine string, nodes int) *cluster {
	tb.Helper()
	c := &cluster{world: newWorldWhere(tb, engine, "CHECKPOINT_INTERVAL_MS=1000", "VERIFY_NEW_INTERVAL_MS=5000", "CREDENTIAL_SCAN_INTERVAL_MS=2000", "DB_POOL_MAX=8")}
	for range nodes {
		n := &chaosNode{tb: tb, world: c.world, port: freePort(tb), up: make(chan struct{}, 1)}
		n.reachThroughProxies()
		n.running.Go(n.supervise)
		tb.Cleanup(n.end)
		c.nodes = append(c.nodes, n)
	}
	c.heal(tb)
	return c
}

func (c *cluster) addresses() (bases []string) {
	for _, n := range c.nodes {
		bases = append(bases, n.base())
	}
	return bases
}

// faults are what is to happen to the nodes and to what keeps their ledger.
func (c *cluster) faults(tb testing.TB, seed uint64) *chaos.Faults {
	tb.Helper()
	f := &chaos.Faults{Seed: seed}
	for _, n := range c.nodes {
		f.Members = append(f.Members, chaos.Member{
			Node: n, Database: n.database, Redis: n.redis, EventStore: n.eventStore, Beyond: lease.Silence + time.Second,
		})
	}
	switch program := realstore.Faults(tb); {
	case c.eventStore != nil:
		f.Others = []chaos.Victim{chaos.EventStore{Cluster: c.eventStore}}
	case program != nil && c.setting("EVENTSTORE") == config.EventStoreESDB:
		failed := func(err error) { tb.Error(err) }
		f.Others = []chaos.Victim{chaos.StoreByProgram{Program: program, Failed: failed}}
	}
	return f
}

// heal waits until every node can do its work, and shows all that was written.
func (c *cluster) heal(tb testing.TB) {
	tb.Helper()
	for _, n := range c.nodes {
		newClient(tb, n.base()).healthy(tb, 2*patience)
	}
}

// end stops all nodes as an operator would.
func (c *cluster) end(tb testing.TB) {
	tb.Helper()
	for _, n := range c.nodes {
		if code := n.terminate(tb); code != exitOK {
			tb.Errorf("a node ended with code %d after SIGTERM", code)
		}
	}
}

// compareReadModels waits for the read models to have everything, and compares
// them with a fresh rebuild.
func (c *cluster) compareReadModels(tb testing.TB) (violations []chaos.Violation) {
	tb.Helper()
	ledger, ctx := c.openLedger(tb), within(tb, 2*patience)
	head, err := ledger.Store.Head(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	progress := projections.NewProgress(ledger.Pool, ledger.Store, readmodels.All(), projections.ProgressOptions{})
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go progress.Run(watching)
	if err := progress.Wait(ctx, head); err != nil {
		violations = append(violations, chaos.Violation{Rule: chaos.RuleReadModel, Detail: "they do not catch up: " + err.Error()})
	}
	for _, v := range projections.NewVerifier(ledger.Pool, ledger.Store, projections.VerifyOptions{}).Verify(ctx, readmodels.All()...) {
		if v.Err != nil {
			tb.Fatalf("verify %s: %v", v.Projection, v.Err)
		}
		if v.Different > 0 {
			violations = append(violations, chaos.Violation{
				Rule: chaos.RuleReadModel, Detail: v.Projection + ": " + strconv.FormatInt(v.Different, 10) + " rows differ",
			})
		}
	}
	return violations
}

func (c *cluster) replay(tb testing.TB) (*chaos.History, int64) {
	tb.Helper()
	store := c.openStore(tb)
	history, events := chaos.NewHistory(eventstore.Dense(store)), int64(0)
	for event, err := range store.ReadAll(within(tb, 2*patience), 0, eventstore.Filter{}) {
		if err != nil {
			tb.Fatal(err)
		}
		history.Take(event)
		events++
	}
	return history, events
}

// checkpoints are all that were stored, and what the signers remember.
func (c *cluster) checkpoints(tb testing.TB, history *chaos.History) (all []chaos.Checkpoint) {
	tb.Helper()
	ledger := c.openLedger(tb)
	logs := map[string]chaos.Checkpoint{}
	for _, id := range history.Logs() {
		stored, err := transparency.NewLogs(ledger.Pool).Checkpoints(within(tb, patience), id)
		if err != nil {
			tb.Fatal(err)
		}
		for _, s := range stored {
			all = append(all, chaos.Checkpoint{Checkpoint: s.Checkpoint, Log: id, Seen: "the database"})
			logs[s.Origin] = all[len(all)-1]
		}
	}
	settings, err := config.Load(c.settings, "")
	if err != nil {
		tb.Fatal(err)
	}
	remembered, err := transparency.OpenMemory(settings.CheckpointFile).Load()
	if err != nil {
		tb.Fatal(err)
	}
	for origin, r := range remembered {
		if known, stored := logs[origin]; stored {
			all = append(all, chaos.Checkpoint{Checkpoint: r.Checkpoint, Log: known.Log, Seen: "the signers' memory"})
		}
	}
	return all
}
