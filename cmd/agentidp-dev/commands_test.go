package main

import (
	"strings"
	"testing"

	"github.com/sentryagent/agentidp/internal/command"
	"github.com/sentryagent/agentidp/internal/command/commandtest"
)

var agentidpDev = commandtest.Program(newRootCommand)

func TestHelpLeavesNothingUnsaid(t *testing.T) {
	t.Parallel()
	agentidpDev.HelpLeavesNothingUnsaid(t)
}

func TestWhatMakesNoSenseIsExitCode2(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"serve"}, {"dev", "now"}, {"dev", "--dir"}, {"demo", "--port=3000"}} {
		r := agentidpDev.Type(t, args...)
		if r.Code != command.BadUsage || r.Stdout != "" || !strings.HasPrefix(r.Stderr, "agentidp-dev: ") || !strings.Contains(r.Stderr, "--help") {
			t.Errorf("agentidp-dev %v: code %d, %q, %q; want %d and a word about --help on standard error", args, r.Code, r.Stdout, r.Stderr, command.BadUsage)
		}
	}
}
