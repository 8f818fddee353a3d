package main

import (
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/internal/config"
)

const rootHelp = `AgentIdP is an identity provider for AI agents. Every change is an event in a
hash-chained ledger that an auditor can prove.

To try it on this machine:      agentidp dev
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
type cli struct {
	environ []string
	dotenv  string
}

func newRootCommand(environ []string) *cobra.Command {
	c := &cli{environ: environ}
	root := &cobra.Command{
		Use:           "agentidp",
		Short:         "Identity provider for AI agents, with books that an auditor can prove",
		Long:          rootHelp,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArguments,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return c.settingsFileIsThere(cmd) },
	}
	root.PersistentFlags().StringVar(&c.dotenv, "env-file", ".env", "file with settings, one NAME=value a line")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(c.serveCommand(), c.devCommand(), c.migrateCommand(), c.bootstrapCommand(), c.ledgerCommand(), c.projectionsCommand(), c.tokensCommand(), c.settingsCommand(),
		c.demoCommand(), c.healthcheckCommand(), versionCommand())
	return root
}

func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("there is no command or argument %q", args[0])}
	}
	return nil
}

// settingsFileIsThere refuses a file of settings that was named and does not exist. The default one need not exist.
func (c *cli) settingsFileIsThere(cmd *cobra.Command) error {
	if !cmd.Flags().Changed("env-file") {
		return nil
	}
	if _, err := os.Stat(c.dotenv); err != nil {
		return usageError{fmt.Errorf("--env-file: %w", err)}
	}
	return nil
}

func (c *cli) config() (config.Config, error) { return config.Load(c.environ, c.dotenv) }

// reading is the configuration of a command that reads the ledger and needs no more.
func (c *cli) reading() (config.Config, error) { return config.LoadForReading(c.environ, c.dotenv) }

func newLogger(cmd *cobra.Command, settings config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: settings.LogLevel}
	if settings.LogFormat == config.LogText {
		return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), options))
	}
	return slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), options))
}

// The linker sets version for a release and commit for every other build of the Makefile.
var version, commit string

// productVersion tells two builds apart: an operator asks it which one runs where.
func productVersion() string {
	const next = "0.1.0-dev"
	if version != "" {
		return version
	}
	if commit != "" {
		return next + "+" + commit
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return next
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "agentidp", productVersion())
			return err
		},
	}
}
