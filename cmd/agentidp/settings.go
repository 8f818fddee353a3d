package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/internal/command"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/server/upkeep"
)

func (c *cli) settingsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "settings",
		Short: "Change what all servers on a database share: their address and names",
		Args:  command.NoArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.settingsAdoptCommand())
	return cmd
}

func (c *cli) settingsAdoptCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "adopt",
		Short: "Have all servers on the database use this PUBLIC_URL, OIDC_ISSUER, LEDGER_ORIGIN and DID_WEB_DOMAIN",
		Long: `Have all servers on the database of DATABASE_URL use these settings from now on:
PUBLIC_URL, OIDC_ISSUER, LEDGER_ORIGIN and DID_WEB_DOMAIN, or what they are by
default. The database remembers those of the first server that started, and no
server starts with others.

Another PUBLIC_URL or OIDC_ISSUER ends the access tokens that are out. Another
LEDGER_ORIGIN begins a new series of signed checkpoints: tell your auditors.

No server may be running.

Exit code 0: done, or there was nothing to do. 2: it could not be done.`,
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := c.Config()
			if err != nil {
				return err
			}
			changes, err := upkeep.AdoptSettings(cmd.Context(), settings)
			if errors.Is(err, projections.ErrRunning) {
				err = fmt.Errorf("%w: stop all servers first", err)
			}
			if err != nil {
				return command.Unchecked(err)
			}
			for _, change := range changes {
				fmt.Fprintf(cmd.OutOrStdout(), "%s is %s now, it was %s\n", change.Name, change.Ours, change.Theirs)
			}
			if len(changes) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "nothing to do: the servers on this database have these settings")
			}
			return nil
		},
	}
}
