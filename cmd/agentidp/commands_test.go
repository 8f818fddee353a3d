package main

import (
	"strings"
	"testing"

	"github.com/sentryagent/agentidp/internal/command"
	"github.com/sentryagent/agentidp/internal/command/commandtest"
)

var agentidp = commandtest.Program(newRootCommand)

func TestVersion(t *testing.T) {
	t.Parallel()
	r := agentidp.Type(t, "version")
	if r.Code != command.OK || !strings.HasPrefix(r.Stdout, "agentidp ") || len(strings.Fields(r.Stdout)) != 2 || r.Stderr != "" {
		t.Errorf("code %d, %q, %q; want agentidp and a version", r.Code, r.Stdout, r.Stderr)
	}
}

func TestHelpLeavesNothingUnsaid(t *testing.T) {
	t.Parallel()
	agentidp.HelpLeavesNothingUnsaid(t)
}

func TestNoCommandShowsHelp(t *testing.T) {
	t.Parallel()
	r := agentidp.Type(t)
	if r.Code != command.OK || !strings.Contains(r.Stdout, "agentidp-dev dev") {
		t.Errorf("code %d, %q, want the help", r.Code, r.Stdout)
	}
}

func TestWhatMakesNoSenseIsExitCode2(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"sevre"}, {"serve", "now"}, {"serve", "--port=3000"}, {"--nonsense"}, {"version", "-x"}, {"bootstrap", "--new-credential=maybe"}, {"ledger", "verify", "--key"},
	} {
		r := agentidp.Type(t, args...)
		if r.Code != command.BadUsage || r.Stdout != "" || !strings.HasPrefix(r.Stderr, "agentidp: ") || !strings.Contains(r.Stderr, "--help") {
			t.Errorf("agentidp %v: code %d, %q, %q; want %d and a word about --help on standard error", args, r.Code, r.Stdout, r.Stderr, command.BadUsage)
		}
	}
}

func TestMovedCommandsSayWhereTheyWent(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"dev"}, {"dev", "--dir", "there"}, {"demo"}, {"demo", "--help"}, {"--env-file", "main.go", "dev"}} {
		r := agentidp.Type(t, args...)
		if r.Code != command.BadUsage || r.Stdout != "" || strings.Count(r.Stderr, "\n") != 1 || !strings.Contains(r.Stderr, "agentidp-dev de") {
			t.Errorf("agentidp %v: code %d, %q, %q; want %d and one line with the new command", args, r.Code, r.Stdout, r.Stderr, command.BadUsage)
		}
	}
	if help := agentidp.Type(t).Stdout; strings.Contains(help, "demo") {
		t.Errorf("the help lists a command that has moved:\n%s", help)
	}
}
