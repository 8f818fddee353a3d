// Command agentidp is the AgentIdP server and its operator's commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/pg"
)

// Exit codes.
const (
	exitOK       = 0
	exitFailed   = 1
	exitBadUsage = 2 // wrong arguments or configuration, or what was asked could not be looked at
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program but for the process around it.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	root := newRootCommand(environ)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	ran, err := root.ExecuteContextC(ctx)
	var faults config.Faults
	var usage usageError
	var unchecked uncheckedError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &faults):
		fmt.Fprintln(stderr, faults)
		return exitBadUsage
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "agentidp: %v\nSee %s --help.\n", err, ran.CommandPath())
		return exitBadUsage
	}
	fmt.Fprintf(stderr, "agentidp: %v\n", err)
	if pg.Is(err, pg.ReadOnlyTransaction) {
		fmt.Fprintln(stderr, "The database is read-only, as a standby is: name the primary. Reading works here: ledger verify --live, export and tail.")
	}
	if errors.As(err, &unchecked) {
		return exitBadUsage
	}
	return exitFailed
}

// usageError is a command line that makes no sense.
type usageError struct{ error }

// uncheckedError: the question could not be answered, which is another thing
// than a bad answer.
type uncheckedError struct{ error }

func (e uncheckedError) Unwrap() error { return e.error }
