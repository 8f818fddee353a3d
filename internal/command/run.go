// Package command is what our programs have in common at the command line: exit
// codes and how errors are told, where settings come from, the log, the version.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/pg"
)

// Exit codes.
const (
	OK       = 0
	Failed   = 1
	BadUsage = 2 // wrong arguments or configuration, or what was asked could not be looked at
)

// Main runs a program until it ends or a signal ends it, and gives its exit code.
func Main(program func(environ []string) *cobra.Command) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return Run(ctx, program(os.Environ()), os.Args[1:], os.Stdout, os.Stderr)
}

// Run is a whole program but for the process around it.
func Run(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	ran, err := root.ExecuteContextC(ctx)
	var faults config.Faults
	switch {
	case err == nil:
		return OK
	case errors.As(err, &faults):
		fmt.Fprintln(stderr, faults)
		return BadUsage
	case IsUsage(err):
		fmt.Fprintf(stderr, "%s: %v\nSee %s --help.\n", root.Name(), err, ran.CommandPath())
		return BadUsage
	}
	fmt.Fprintf(stderr, "%s: %v\n", root.Name(), err)
	if pg.Is(err, pg.ReadOnlyTransaction) {
		fmt.Fprintln(stderr, "The database is read-only, as a standby is: name the primary. Reading works here: ledger verify --live, export and tail.")
	}
	if IsUnchecked(err) {
		return BadUsage
	}
	return Failed
}

type usageError struct{ error }

// Usage is the error of a command line that makes no sense.
func Usage(err error) error { return usageError{err} }

// IsUsage tells whether an error is one of [Usage].
func IsUsage(err error) bool { return errors.As(err, new(usageError)) }

type uncheckedError struct{ error }

func (e uncheckedError) Unwrap() error { return e.error }

// Unchecked is the error of a question that could not be answered, which is another
// thing than a bad answer. It is nil where err is.
func Unchecked(err error) error {
	if err == nil {
		return nil
	}
	return uncheckedError{err}
}

// IsUnchecked tells whether an error is one of [Unchecked].
func IsUnchecked(err error) bool { return errors.As(err, new(uncheckedError)) }

// NoArguments refuses what is left of a command line.
func NoArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return Usage(fmt.Errorf("there is no command or argument %q", args[0]))
	}
	return nil
}
