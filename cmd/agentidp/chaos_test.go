package main

import (
	"context"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/cmd/agentidp/app"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/chaos"
	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/lease"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// Three nodes of one ledger are killed, frozen and cut off at random while many
// clients use them; see package chaos for what is promised. CHAOS_DURATION and
// CHAOS_SEED choose another run than the short one that all tests include.
func TestChaos(t *testing.T) {
	t.Parallel()
	duration, seed := chaosSetting(t, "CHAOS_DURATION", 30*time.Second, time.ParseDuration), chaosSetting(t, "CHAOS_SEED", 1, parseSeed)
	cluster := newCluster(t, 3)
	recording := chaos.NewRecording()
	workload := chaos.NewWorkload(chaos.Options{
		Seed: seed, Nodes: cluster.addresses(), Clients: 64, Operator: [2]string{cluster.operator.ClientID, cluster.operator.ClientSecret},
		Patience: 4 * time.Second, Think: 800 * time.Millisecond,
	}, recording)
	defer workload.Close()
	if err := workload.Prepare(within(t, patience), 4, 4); err != nil {
		t.Fatal(err)
	}
	faults := &chaos.Faults{Seed: seed, Members: cluster.members(), Beyond: lease.Silence + time.Second}
	began := time.Now()
	ctx := within(t, duration)
	var running sync.WaitGroup
	running.Go(func() { workload.Run(ctx) })
	faults.Run(ctx)
	running.Wait()
	took := time.Since(began)

	cluster.heal(t)
	workload.LookBack(within(t, 2*patience), 30)
	violations := append(recording.Mistakes(), cluster.compareReadModels(t)...)
	cluster.end(t)
	history, events := cluster.replay(t)
	violations = append(violations, history.End()...)
	violations = append(violations, history.CheckCheckpoints(append(recording.Checkpoints(), cluster.checkpoints(t, history)...))...)
	violations = append(violations, recording.CheckAcknowledged(history)...)
	violations = append(violations, recording.CheckRevoked()...)

	t.Logf("%s", chaos.Summary(seed, took, recording, faults.Count(), events))
	if recording.Acknowledged() == 0 || len(faults.Count()) == 0 {
		t.Error("nothing was acknowledged, or nothing went wrong")
	}
	if len(violations) > 0 {
		t.Errorf("CHAOS_SEED=%d CHAOS_DURATION=%s broke %d promises:\n%s", seed, duration, len(violations), chaos.Shortest(violations))
	}
}

// chaosSetting is what the environment says, or what is meant when it says nothing.
func chaosSetting[T any](tb testing.TB, name string, otherwise T, parse func(string) (T, error)) T {
	tb.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	value, err := parse(text)
	if err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	return value
}

func parseSeed(text string) (uint64, error) { return strconv.ParseUint(text, 10, 64) }

// cluster is some nodes on one ledger, each with its own way to what it needs.
type cluster struct {
	*world
	nodes []*chaosNode
}

func newCluster(tb testing.TB, nodes int) *cluster {
	tb.Helper()
	c := &cluster{world: newWorld(tb, "CHECKPOINT_INTERVAL_MS=1000", "VERIFY_NEW_INTERVAL_MS=5000", "CREDENTIAL_SCAN_INTERVAL_MS=2000", "DB_POOL_MAX=8")}
	for range nodes {
		n := &chaosNode{tb: tb, world: c.world, port: freePort(tb), up: make(chan struct{}, 1)}
		n.database = n.proxied("DATABASE_URL")
		n.redis = n.proxied("REDIS_URL")
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

func (c *cluster) members() (members []chaos.Member) {
	for _, n := range c.nodes {
		members = append(members, chaos.Member{Node: n, Database: n.database, Redis: n.redis})
	}
	return members
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

// open gives the ledger and its database as an auditor sees them.
func (c *cluster) open(tb testing.TB) *app.Ledger {
	tb.Helper()
	settings, err := config.Load(c.settings, "")
	if err != nil {
		tb.Fatal(err)
	}
	ledger, err := app.OpenLedger(tb.Context(), settings)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(ledger.Close)
	return ledger
}

// compareReadModels waits for the read models to have everything, and compares
// them with a fresh rebuild.
func (c *cluster) compareReadModels(tb testing.TB) (violations []chaos.Violation) {
	tb.Helper()
	ledger, ctx := c.open(tb), within(tb, 2*patience)
	head, err := ledger.Store.Head(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	progress := projections.NewProgress(ledger.Pool, ledger.Store, projections.All(), projections.ProgressOptions{})
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go progress.Run(watching)
	if err := progress.Wait(ctx, head); err != nil {
		violations = append(violations, chaos.Violation{Rule: chaos.RuleReadModel, Detail: "they do not catch up: " + err.Error()})
	}
	for _, v := range projections.NewVerifier(ledger.Pool, ledger.Store, projections.VerifyOptions{}).Verify(ctx, projections.All()...) {
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
	history, events := chaos.NewHistory(c.setting("EVENTSTORE") != "esdb"), int64(0)
	for event, err := range c.open(tb).Store.ReadAll(within(tb, 2*patience), 0, eventstore.Filter{}) {
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
	ledger := c.open(tb)
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
