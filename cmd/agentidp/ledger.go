package main

import "github.com/spf13/cobra"

func (c *cli) ledgerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ledger",
		Short: "Ask the ledger itself, as an auditor",
		Long: `Ask the ledger itself, as an auditor. These commands read the database of
DATABASE_URL and need no server.

Exit code 0: it is as it should be, or as told. 1: it is not. 2: it could not
be looked at.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		c.ledgerCheckpointCommand(),
		c.ledgerStateCommand(),
	)
	return cmd
}
