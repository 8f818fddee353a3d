package system_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/test/chaos"
)

// Three nodes of one ledger are killed, frozen and cut off at random while many
// clients use them, on each engine; see package chaos for what is promised.
// CHAOS_DURATION, CHAOS_SEED and CHAOS_ENGINE choose other runs than the short
// ones that all tests include.
func TestChaos(t *testing.T) {
	t.Parallel()
	duration, seed := chaosSetting(t, "CHAOS_DURATION", 15*time.Second, time.ParseDuration), chaosSetting(t, "CHAOS_SEED", 1, parseSeed)
	for _, engine := range chaosSetting(t, "CHAOS_ENGINE", engines, parseEngine) {
		t.Run(engine, func(t *testing.T) { runChaos(t, engine, duration, seed) })
	}
}

func runChaos(t *testing.T, engine string, duration time.Duration, seed uint64) {
	cluster := newCluster(t, engine, 3)
	recording := chaos.NewRecording()
	workload := chaos.NewWorkload(chaos.Options{
		Seed: seed, Nodes: cluster.addresses(), Clients: 64, Operator: [2]string{cluster.operator.ClientID, cluster.operator.ClientSecret},
		Patience: 4 * time.Second, Think: 800 * time.Millisecond,
	}, recording)
	defer workload.Close()
	if err := workload.Prepare(within(t, patience), 4, 4); err != nil {
		t.Fatal(err)
	}
	faults := cluster.faults(t, seed)
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
	if cluster.eventStore != nil && cluster.eventStore.Forwarded() > 0 {
		t.Errorf("%d requests could have been answered by a follower, from the past", cluster.eventStore.Forwarded())
	}
	if len(violations) > 0 {
		t.Errorf("CHAOS_ENGINE=%s CHAOS_SEED=%d CHAOS_DURATION=%s broke %d promises:\n%s",
			engine, seed, duration, len(violations), chaos.Shortest(violations))
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

func parseEngine(text string) ([]string, error) {
	if !slices.Contains(engines, text) {
		return nil, fmt.Errorf("%q is none of %v", text, engines)
	}
	return []string{text}, nil
}
