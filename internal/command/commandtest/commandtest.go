// Package commandtest types commands of a program in the test's own process.
package commandtest

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sentryagent/agentidp/internal/command"
)

// Program makes the commands of a program with an environment.
type Program func(environ []string) *cobra.Command

// Result is how a run ended.
type Result struct {
	Code           int
	Stdout, Stderr string
}

// Type runs the program with no environment.
func (p Program) Type(tb testing.TB, args ...string) Result {
	tb.Helper()
	var stdout, stderr strings.Builder
	code := command.Run(tb.Context(), p(nil), args, &stdout, &stderr)
	return Result{code, stdout.String(), stderr.String()}
}

// HelpLeavesNothingUnsaid checks that every command and flag that a person may find
// says what it is for.
func (p Program) HelpLeavesNothingUnsaid(t *testing.T) {
	t.Helper()
	root := p(nil)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	p.helps(t, root)
}

func (p Program) helps(t *testing.T, c *cobra.Command) {
	t.Helper()
	if c.Short == "" {
		t.Errorf("%s: the description is empty", c.CommandPath())
	}
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Usage == "" {
			t.Errorf("%s --%s: the description is empty", c.CommandPath(), f.Name)
		}
	})
	says, _, _ := strings.Cut(strings.TrimSpace(c.Long), "\n")
	if says == "" {
		says = c.Short
	}
	path := strings.Fields(c.CommandPath())[1:]
	r := p.Type(t, append(path, "--help")...)
	if r.Code != command.OK || r.Stderr != "" || !strings.Contains(r.Stdout, says) || !strings.Contains(r.Stdout, "Usage:") {
		t.Errorf("%s --help: code %d, standard error %q, want %q and the usage in:\n%s", c.CommandPath(), r.Code, r.Stderr, says, r.Stdout)
	}
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			p.helps(t, sub)
		}
	}
}
