package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// step is one kind of promise, and the tests that hold a server to it.
type step struct {
	name     string
	packages []string
	tests    string // a regular expression
	settings []string
	sample   int // how many of the tests are enough, 0 for all
	// What it means to the operator that it has passed, and that it has not.
	passed, failed string
}

// steps are what is asked of a server. The wire server is asked little: `make
// test` has asked it the rest.
func steps(own bool) []step {
	sample, rounds, frozen, chaos := 0, "20", "20", "5m"
	if own {
		sample, rounds, frozen, chaos = 16, "3", "1", "12s"
	}
	return []step{
		{
			name: "contract of the store", packages: []string{"./eventstore/esdb"}, tests: "^TestStoreOnARealServer$",
			passed: "what is appended is kept, in order, once, and read as it was written",
			failed: "a ledger on this server is not safe: do not use it",
		},
		{
			name: "facts of the server", packages: []string{"./eventstore/esdb/wiretest"}, tests: "^TestFacts.*$/^real$",
			passed: "the server answers as those do that the engine was made for",
			failed: "the server answers otherwise than the tested versions: find out what each difference means before you use it",
		},
		{
			name: "the API", packages: []string{"./api"}, tests: "^Test", sample: sample,
			passed: "AgentIdP does on this server what its API promises",
			failed: "the requests that the failed tests name do not work on this server",
		},
		{
			name: "two nodes", packages: []string{"./eventstore/esdb"}, tests: "^TestTwoNodesOnARealServer$",
			settings: setting("TWO_NODE_ROUNDS", rounds),
			passed:   "what is ended through one node of AgentIdP is ended for the other from the answer on",
			failed:   "a revoked token may pass at another node: do not run more than one",
		},
		{
			name: "a frozen leader", packages: []string{"./eventstore/esdb"}, tests: "^TestAFrozenLeaderOfARealServer$",
			settings: setting("FROZEN_ROUNDS", frozen),
			passed:   "a leader that was deposed in its sleep makes no revoked token pass",
			failed:   "a revoked token may pass after a change of leaders: compare ESDB_LEASE_MS with the servers' election timeouts",
		},
		{
			name: "chaos", packages: []string{"./test/system"}, tests: "^TestChaos$",
			settings: setting("CHAOS_DURATION", chaos),
			passed:   "three nodes that are killed, frozen and cut off lose nothing and break no promise",
			failed:   "promises break under faults: the violations above say which",
		},
	}
}

// setting is what the operator says, or what is usual.
func setting(name, usual string) []string {
	if os.Getenv(name) != "" {
		return nil
	}
	return []string{name + "=" + usual}
}

// sampleOf chooses some of a package's tests, which ones follows from a seed.
func sampleOf(ctx context.Context, pkg string, size int, seed string) (tests string, err error) {
	out, err := exec.CommandContext(ctx, "go", "test", "-list", "^Test", pkg).Output()
	if err != nil {
		return "", fmt.Errorf("list the tests of %s: %w", pkg, err)
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "Test") {
			names = append(names, strings.TrimSpace(line))
		}
	}
	return "^(" + strings.Join(chosen(names, size, seed), "|") + ")$", nil
}

func chosen(names []string, size int, seed string) []string {
	place := func(name string) uint64 {
		hash := fnv.New64a()
		_, _ = hash.Write([]byte(seed + " " + name)) // never fails
		return hash.Sum64()
	}
	slices.SortFunc(names, func(a, b string) int {
		if place(a) < place(b) {
			return -1
		}
		return 1
	})
	return names[:min(size, len(names))]
}
