package esdb_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/eventstore/esdb"
)

// traces has a process of this test's own write down what its rounds come to.
const traces = "ROUND_TRACES"

// A seed replays its round: what was asked, when, and what was answered are the
// same in another process, whatever that ran before.
func TestARoundReplays(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has goroutines scheduled at random")
	}
	if file := os.Getenv(traces); file != "" {
		writeTraces(t, file)
		return
	}
	t.Parallel()
	first, second := traced(t), traced(t)
	if len(first) != 20 || len(second) != 20 {
		t.Fatalf("%d and %d rounds were traced", len(first), len(second))
	}
	if slices.Equal(first, second) {
		return
	}
	// What came at the same nanosecond, which is rare, went another way once.
	third := traced(t)
	for seed := range first {
		if first[seed] != second[seed] && third[seed] != first[seed] && third[seed] != second[seed] {
			t.Errorf("seed %d: %s, %s and %s", seed, first[seed], second[seed], third[seed])
		}
	}
}

// traced is a line for each round: how long its trace is, and the trace's hash.
func traced(t *testing.T) []string {
	t.Helper()
	file := t.TempDir() + "/traces"
	rounds := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestARoundReplays$")
	rounds.Env = append(os.Environ(), traces+"="+file)
	if out, err := rounds.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lines, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(lines)), "\n")
}

func writeTraces(t *testing.T, file string) {
	var lines strings.Builder
	for seed := range uint64(20) {
		s := drawn(seed, 20*time.Second)
		s.traced = true
		r := round(t, s, esdb.Options{}, none)
		slices.Sort(r.trace) // what happens at one moment does so in no order
		trace := strings.Join(append(r.trace, r.wrong...), "\n")
		fmt.Fprintf(&lines, "%d lines, %x\n", len(r.trace), sha256.Sum256([]byte(trace)))
	}
	if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}
