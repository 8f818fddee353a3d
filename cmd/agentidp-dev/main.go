// Command agentidp-dev is for trying AgentIdP and for working on it: it installs and
// starts what a server needs, and tells the product's story. The product itself,
// agentidp, does neither.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/internal/command"
)

func main() { os.Exit(command.Main(newRootCommand)) }

// cli is what all commands share.
type cli struct{ command.Settings }

func newRootCommand(environ []string) *cobra.Command {
	c := &cli{command.Settings{Environ: environ}}
	root := &cobra.Command{
		Use:   "agentidp-dev",
		Short: "Try AgentIdP on this machine, with everything that it needs",
		Long: `Try AgentIdP on this machine, with everything that it needs. On Debian and Ubuntu,
as root, PostgreSQL and Redis are installed where they are missing.

To run everything:                agentidp-dev dev
To be told the whole journey:     agentidp-dev demo

Settings come from the environment and from a file .env in the working
directory, as they do for agentidp serve; none of them is needed.`,
	}
	c.Accept(root)
	root.AddCommand(c.devCommand(), c.demoCommand())
	return root
}
