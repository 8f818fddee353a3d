package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/internal/command"
	"github.com/sentryagent/agentidp/internal/config"
)

const rootHelp = `AgentIdP is an identity provider for AI agents. Every change is an event in a
hash-chained ledger that an auditor can prove.

To try it on this machine:      agentidp-dev dev
To run it on your own services: agentidp migrate
                                agentidp bootstrap
                                agentidp serve
To look after it:               agentidp projections status

Settings come from the environment and from a file .env in the working
directory; the environment wins. The ones that serve cannot do without:

  DATABASE_URL      PostgreSQL, as the server's role
  REDIS_URL         Redis
  MASTER_KEY_FILE   file of the key that seals all other keys; it is made, with
                    mode 0600, when it is not there: back it up

docs/configuration.md lists the rest.`

// cli is what all commands share.
type cli struct{ command.Settings }

func newRootCommand(environ []string) *cobra.Command {
	c := &cli{command.Settings{Environ: environ}}
	root := &cobra.Command{
		Use:   "agentidp",
		Short: "Identity provider for AI agents, with books that an auditor can prove",
		Long:  rootHelp,
	}
	c.Accept(root)
	root.AddCommand(c.serveCommand(), c.migrateCommand(), c.bootstrapCommand(), c.ledgerCommand(), c.projectionsCommand(), c.tokensCommand(), c.keysCommand(), c.settingsCommand(),
		c.healthcheckCommand(), versionCommand(), movedCommand("dev"), movedCommand("demo"))
	return root
}

// reading is the configuration of a command that reads the ledger and needs no more.
func (c *cli) reading() (config.Config, error) { return config.LoadForReading(c.Environ, c.File) }

// movedCommand says where a command went.
func movedCommand(name string) *cobra.Command {
	return &cobra.Command{
		Use:                name,
		Short:              "Moved to agentidp-dev " + name,
		Hidden:             true,
		DisableFlagParsing: true, // whatever it is given
		RunE: func(*cobra.Command, []string) error {
			return command.Unchecked(fmt.Errorf("%[1]s has moved to a program of its own: type agentidp-dev %[1]s", name))
		},
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "agentidp", command.Version())
			return err
		},
	}
}
