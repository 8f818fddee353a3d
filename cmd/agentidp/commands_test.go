package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// result is how a run of the program ended.
type result struct {
	code           int
	stdout, stderr string
}

// typed runs the program in this process, with no environment.
func typed(tb testing.TB, args ...string) result {
	tb.Helper()
	var stdout, stderr strings.Builder
	code := run(tb.Context(), args, nil, &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	r := typed(t, "version")
	if r.code != exitOK || !strings.HasPrefix(r.stdout, "agentidp ") || len(strings.Fields(r.stdout)) != 2 || r.stderr != "" {
		t.Errorf("code %d, %q, %q; want agentidp and a version", r.code, r.stdout, r.stderr)
	}
}

// commands lists all commands that a person may find, by their paths.
func commands() map[string]*cobra.Command {
	root := newRootCommand(nil)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	all := map[string]*cobra.Command{}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		all[strings.TrimSpace(strings.TrimPrefix(c.CommandPath(), root.Name()))] = c
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
	return all
}

func TestHelpLeavesNothingUnsaid(t *testing.T) {
	t.Parallel()
	for path, command := range commands() {
		if command.Short == "" {
			t.Errorf("agentidp %s: the description is empty", path)
		}
		command.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("agentidp %s --%s: the description is empty", path, f.Name)
			}
		})
		says, _, _ := strings.Cut(strings.TrimSpace(command.Long), "\n")
		if says == "" {
			says = command.Short
		}
		r := typed(t, append(strings.Fields(path), "--help")...)
		if r.code != exitOK || r.stderr != "" || !strings.Contains(r.stdout, says) || !strings.Contains(r.stdout, "Usage:") {
			t.Errorf("agentidp %s --help: code %d, standard error %q, want %q and the usage in:\n%s", path, r.code, r.stderr, says, r.stdout)
		}
	}
}

func TestNoCommandShowsHelp(t *testing.T) {
	t.Parallel()
	r := typed(t)
	if r.code != exitOK || !strings.Contains(r.stdout, "agentidp dev") {
		t.Errorf("code %d, %q, want the help", r.code, r.stdout)
	}
}

func TestWhatMakesNoSenseIsExitCode2(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"sevre"}, {"serve", "now"}, {"serve", "--port=3000"}, {"--nonsense"}, {"version", "-x"}, {"bootstrap", "--new-credential=maybe"}, {"dev", "--dir"},
	} {
		r := typed(t, args...)
		if r.code != exitBadUsage || r.stdout != "" || !strings.HasPrefix(r.stderr, "agentidp: ") || !strings.Contains(r.stderr, "--help") {
			t.Errorf("agentidp %v: code %d, %q, %q; want %d and a word about --help on standard error", args, r.code, r.stdout, r.stderr, exitBadUsage)
		}
	}
}
