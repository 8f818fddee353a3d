// Command bench measures what the product promises, each figure beside what
// bounds it, everything on the same machine in one run:
//
//	go run ./test/bench [-quick] [-json] [-only groups] [-profile dir] [-before program]
//
// It starts a private PostgreSQL (with fsync on) and Redis in a temporary
// directory and the real server as a process of its own, and is itself the
// client. The figures of a run count beside each other; from run to run and
// machine to machine they drift.
//
// Start with bench.go, which lists what is measured. The exit code says whether
// it could be measured, not whether the figures are good: those that fall
// short of their target are marked.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// What this program does when it runs as a child of itself.
const (
	modeConstant = "constant-server" // constant.go
	modeProfiled = "profiled-server" // profiled.go
	modeTreeless = "treeless-server" // trees.go
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var err error
	switch {
	case len(args) == 2 && args[0] == modeConstant:
		err = serveConstant(args[1], stdin, stdout)
	case len(args) == 1 && args[0] == modeProfiled:
		err = serveProfiled(ctx, stdin, stdout)
	case len(args) == 1 && args[0] == modeTreeless:
		err = serveTreeless(ctx)
	default:
		var o options
		if o, err = parse(args, stderr); err != nil {
			return 2
		}
		err = measure(ctx, o, stdout, stderr)
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}

type options struct {
	quick   bool
	json    bool
	only    []string // groups to measure; none: all
	profile string   // directory for CPU profiles of the server; "": none

	beforeProgram string // an earlier server to measure beside; "": none
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	var only string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.quick, "quick", false, "measure for a shorter time, and over 100,000 events instead of 1,000,000")
	flags.BoolVar(&o.json, "json", false, "print JSON instead of a table")
	flags.StringVar(&only, "only", "", "measure only these `groups`, comma-separated: "+strings.Join(groupNames(), ", "))
	flags.StringVar(&o.profile, "profile", "", "write CPU profiles of the server into this `directory`")
	flags.StringVar(&o.beforeProgram, "before", "", "measure beside this earlier `agentidp`, in the group before")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	for _, group := range o.only {
		if !slices.Contains(groupNames(), group) {
			err := fmt.Errorf("there is no group %q, only %s", group, strings.Join(groupNames(), ", "))
			fmt.Fprintln(stderr, "bench:", err)
			return o, err
		}
	}
	return o, nil
}

func (o options) wants(group string) bool { return len(o.only) == 0 || slices.Contains(o.only, group) }
