package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/command"
	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/replay/move"
	"github.com/sentryagent/agentidp/server/stores"
)

// The environment variables that stand in for the flags: what is on a command
// line can be seen by everybody on the machine.
const (
	copyFromVariable = "LEDGER_COPY_FROM"
	copyToVariable   = "LEDGER_COPY_TO"
)

func (c *cli) ledgerCopyCommand() *cobra.Command {
	var o copyOptions
	cmd := &cobra.Command{
		Use:   "copy --from url --to url",
		Short: "Move the ledger to another engine, and prove that it is the same",
		Long: `Move the ledger to another engine: from the one that --from names to the one that
--to names, each postgres://… or esdb://…. Every record arrives as it is, to the
byte, and in the same order; in the end both are read and compared, and every
organization's log must have the same root. Positions are an engine's own.

The target must be empty, or a copy that was begun: its events are compared first,
and the copy goes on where they end. So it may be stopped or killed at any time;
run it again. Nobody else may write to the target. Servers may go on writing to the
source: with --follow the copy follows them, until Ctrl-C or SIGTERM; then it
goes on to the newest event of that moment and proves all of it. A second Ctrl-C
ends it at once.

A password on the command line can be seen by everybody on the machine: put the
URLs into ` + copyFromVariable + ` and ` + copyToVariable + ` instead.

docs/runbooks/moving-engines.md has the whole move.

Exit code 0: copied and proven. 1: the target is no copy, or the source is broken;
the first such event is named. 2: it could not be done, or not to its end.`,
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.complete(c.Environ); err != nil {
				return err
			}
			return ledgerCopy(cmd, o)
		},
	}
	cmd.Flags().StringVar(&o.from, "from", "", "the `url` of the ledger to copy")
	cmd.Flags().StringVar(&o.to, "to", "", "the `url` of where to")
	cmd.Flags().BoolVar(&o.follow, "follow", false, "go on with what comes to the source, until Ctrl-C or SIGTERM")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

type copyOptions struct {
	from, to     string
	follow, json bool
}

// complete takes what the flags lack from the environment.
func (o *copyOptions) complete(environ []string) error {
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		switch {
		case name == copyFromVariable && o.from == "":
			o.from = value
		case name == copyToVariable && o.to == "":
			o.to = value
		}
	}
	switch {
	case o.from == "":
		return command.Usage(errors.New("--from is missing: which ledger to copy"))
	case o.to == "":
		return command.Usage(errors.New("--to is missing: where to copy the ledger"))
	case o.from == o.to:
		return command.Usage(errors.New("--from and --to are the same"))
	}
	return nil
}

func ledgerCopy(cmd *cobra.Command, o copyOptions) error {
	ctx := cmd.Context()
	source, err := stores.OpenLedgerAt(ctx, o.from)
	if err != nil {
		return command.Unchecked(fmt.Errorf("--from: %w", err))
	}
	defer source.Close()
	target, err := stores.OpenLedgerAt(ctx, o.to)
	if err != nil {
		return command.Unchecked(fmt.Errorf("--to: %w", err))
	}
	defer target.Close()
	shown := newCopyMeter(cmd.ErrOrStderr(), o.follow)
	copier := move.Copier{From: source, To: target, Progress: shown.report}
	if o.follow {
		copier.Follow = ctx.Done()
		var stop context.CancelFunc
		ctx, stop = untilSecondSignal(ctx)
		defer stop()
	}
	report, err := copier.Copy(ctx)
	shown.done()
	return tellCopy(cmd.OutOrStdout(), shownCopy{From: config.Place(o.from), To: config.Place(o.to)}, report, err, o.json)
}

// untilSecondSignal outlives the first signal, by which ctx ends, and ends with
// the next one.
func untilSecondSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		again := make(chan os.Signal, 1)
		signal.Notify(again, os.Interrupt, syscall.SIGTERM)
		defer signal.Stop(again)
		select {
		case <-again:
			cancel()
		case <-longer.Done():
		}
	})
	return longer, cancel
}

// copyVerdict is an error of a copy for the exit code: that the ledgers are not
// the same, or that it is not known.
func copyVerdict(err error) error {
	var difference *move.Difference
	var broken *eventstore.Break
	switch {
	case err == nil, errors.As(err, &difference), errors.As(err, &broken):
		return err
	case errors.Is(err, context.Canceled):
		return command.Unchecked(errors.New("interrupted: run the same command again to go on"))
	}
	return command.Unchecked(fmt.Errorf("%w\nrun the same command again to go on", err))
}
