package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/internal/command"
	"github.com/sentryagent/agentidp/projections"
)

func (c *cli) tokensCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tokens",
		Short: "End all access tokens that are out",
		Args:  command.NoArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.tokensEndCommand())
	return cmd
}

func (c *cli) tokensEndCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "end",
		Short: "End all access tokens and ID tokens, by deleting the keys that signed them",
		Long: `End every access token and ID token that is out, also those that the ledger does
not know of: after a backup was restored, or when a signing key may be in other
hands. The signing keys are deleted, and the next server that starts makes others.

Credentials and delegations stay; clients get new tokens as they got the old ones.
Who verifies tokens by itself goes on accepting them until it reads
/.well-known/jwks.json again, five minutes at most if it obeys the header.

No server may be running. Deleting takes the owner of the database,
MIGRATE_DATABASE_URL.

Exit code 0: done. 2: it could not be done.`,
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := c.openReadSide(cmd)
			if err != nil {
				return command.Unchecked(err)
			}
			defer r.Close()
			if err := r.EndTokens(cmd.Context()); err != nil {
				if errors.Is(err, projections.ErrRunning) {
					err = fmt.Errorf("%w: stop all servers first", err)
				}
				return command.Unchecked(err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "All access tokens have ended; start the servers.")
			return err
		},
	}
}
