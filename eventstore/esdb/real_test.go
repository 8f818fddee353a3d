package esdb_test

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/internal/realstore"
)

// Two nodes of ours on a real server: commands through either, and what was ended
// through one is active for the other from the answer on. Nothing goes wrong here
// but what the server and the network do by themselves.
func TestTwoNodesOnARealServer(t *testing.T) {
	url := realstore.Require(t)
	told, dead, commands := 0, 0, 0
	rounds := wanted(t, "TWO_NODE_ROUNDS", 20)
	for seed := range uint64(rounds) {
		w := &aRound{truth: newTruth(), begin: time.Now()}
		open := opener(url, realstore.Name()+"/", none, seed)
		for n := range w.nodes {
			w.nodes[n] = &ours{open: open}
			w.nodes[n].start()
		}
		var err error
		if w.tenant, err = newTenant(t.Context(), w.nodes[0].current().ledger, w.truth, "acme", 3); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		var asking, commanding sync.WaitGroup
		for n := range w.nodes {
			asking.Go(func() { w.keepAsking(t.Context(), n, seeded(seed+100+uint64(n)), done) })
			commanding.Go(func() {
				for rng, left := seeded(seed+200+uint64(n)), 50; left > 0; left-- {
					w.act(t.Context(), rng)
				}
			})
		}
		commanding.Wait()
		close(done)
		asking.Wait()
		w.final(t.Context())
		for _, n := range w.nodes {
			n.stop()
		}
		r := w.result()
		if len(r.wrong) > 0 {
			t.Errorf("seed %d: %s", seed, strings.Join(r.wrong, "\n"))
		}
		told, dead, commands = told+r.told, dead+r.dead, commands+r.commands
	}
	t.Logf("%d rounds: %d commands done, %d tokens judged, %d of them had been ended", rounds, commands, told, dead)
}

// TestAFrozenLeaderOfARealServer is TestAFrozenLeaderVouchesForNothing on a real
// server of several nodes, which takes its own time to elect a leader.
func TestAFrozenLeaderOfARealServer(t *testing.T) {
	url := realstore.Require(t)
	program := realstore.Faults(t)
	switch {
	case program == nil:
		t.Skip("set " + realstore.FaultsSetting + " to a program that freezes nodes of the server")
	case len(program.Nodes()) < 3:
		t.Skipf("the server has %d nodes: another is elected where there are three", len(program.Nodes()))
	}
	t.Cleanup(func() {
		if err := program.Heal(); err != nil {
			t.Error(err)
		}
	})
	dead := 0
	rounds := wanted(t, "FROZEN_ROUNDS", 20)
	for seed := range uint64(rounds) {
		r := frozenRound(t.Context(), byProgram{program}, seed, opener(url, realstore.Name()+"/", none, seed))
		if len(r.wrong) > 0 {
			t.Errorf("seed %d: %s", seed, strings.Join(r.wrong, "\n"))
		}
		dead += r.dead
	}
	t.Logf("%d rounds: %d answers about tokens that had been ended", rounds, dead)
}

// wanted is a number of rounds that the environment may choose.
func wanted(t *testing.T, setting string, usual int) int {
	t.Helper()
	text := os.Getenv(setting)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is a number of rounds, got %q", setting, text)
	}
	return n
}
