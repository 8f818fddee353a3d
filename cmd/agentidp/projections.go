package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/internal/command"
	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/server/upkeep"
)

func (c *cli) projectionsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "projections",
		Short: "Look after the read models: status, rebuild, verify",
		Long: `Look after the read models, which are derived from the ledger: see where they
are, derive them anew beside the live ones, compare them with the ledger.

All of it may be done while servers run. Exit codes: 0 all is well; 1 something
differs, has halted or has failed; 2 it could not be checked, or the command
line makes no sense.`,
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.projectionsStatusCommand(), c.projectionsRebuildCommand(), c.projectionsVerifyCommand())
	return cmd
}

// readSide is what the commands on read models work with.
type readSide struct {
	*upkeep.Ledger
	logger *slog.Logger
}

// openReadSide connects as a server does. The caller closes it.
func (c *cli) openReadSide(cmd *cobra.Command) (*readSide, error) {
	return c.openReadSideBy(cmd, upkeep.OpenLedger)
}

func (c *cli) openReadSideBy(cmd *cobra.Command, open func(context.Context, config.Config) (*upkeep.Ledger, error)) (*readSide, error) {
	settings, err := c.Config()
	if err != nil {
		return nil, err
	}
	ledger, err := open(cmd.Context(), settings)
	if err != nil {
		return nil, err
	}
	return &readSide{ledger, command.NewLogger(cmd, settings)}, nil
}

// status is where the read models are.
func (r *readSide) status(ctx context.Context) ([]projections.Status, error) {
	progress := projections.NewProgress(r.Pool, r.Store, readmodels.All(), projections.ProgressOptions{})
	if err := progress.Look(ctx); err != nil {
		return nil, err
	}
	return progress.Status(), nil
}

// chosenProjections are those named, or all of them.
func chosenProjections(names []string) ([]projections.Projection, error) {
	all := readmodels.All()
	if len(names) == 0 {
		return all, nil
	}
	var known []string
	for _, p := range all {
		known = append(known, p.Name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, command.Usage(fmt.Errorf("there is no projection %q, only %s", name, strings.Join(known, ", ")))
		}
	}
	return slices.DeleteFunc(all, func(p projections.Projection) bool { return !slices.Contains(names, p.Name) }), nil
}
