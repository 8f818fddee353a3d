package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/cmd/agentidp-dev/demo"
	"github.com/sentryagent/agentidp/internal/command"
)

func (c *cli) demoCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Tell the whole journey on a live server, and catch a forger in the end",
		Long: `Tell the whole journey on a live server: an organization, an agent, its tokens,
rotation, suspension, the audit trail and its proof. In the end a row of a
throw-away ledger is altered behind the server's back, and found.

Uses the server of "agentidp-dev dev" if it is up, otherwise one of its own.`,
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			operator, _ := readOperator(filepath.Join(dir, operatorFile)) // none: a server of its own will do
			return demo.Run(cmd.Context(), cmd.OutOrStdout(), operator)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", ".agentidp", "where agentidp-dev dev keeps operator.json")
	return cmd
}
