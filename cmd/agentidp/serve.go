package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/internal/command"
	"github.com/sentryagent/agentidp/server"
	"github.com/sentryagent/agentidp/server/stores"
	"github.com/sentryagent/agentidp/server/upkeep"
)

func (c *cli) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Serve the API until SIGTERM or Ctrl-C",
		Long: `Serve the API until SIGTERM or Ctrl-C.

The database must be migrated (agentidp migrate). Several servers may share one
database and one Redis: give them the same master key file.`,
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := c.Config()
			if err != nil {
				return err
			}
			logger := command.NewLogger(cmd, settings)
			logger.Info("starting", "version", command.Version(), "config", settings)
			server, err := server.Start(cmd.Context(), settings, command.Version(), logger)
			if err != nil {
				return err
			}
			return server.Run(cmd.Context())
		},
	}
}

func (c *cli) migrateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database's schema up to this version",
		Long: `Bring the database's schema up to this version.

Connects by MIGRATE_DATABASE_URL, or DATABASE_URL where that is not set, as the
owner of the database. Migrations only ever go forward. Roles, grants, policies
and triggers that are not as they should be are set right each time, as after a
restore onto another cluster. Running it again does nothing.`,
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := c.Config()
			if err != nil {
				return err
			}
			done, err := stores.Migrate(cmd.Context(), settings)
			for _, name := range done.Applied {
				fmt.Fprintln(cmd.OutOrStdout(), "applied", name)
			}
			for _, what := range done.Mended {
				fmt.Fprintln(cmd.OutOrStdout(), "set right:", what)
			}
			if err == nil && len(done.Applied)+len(done.Mended) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "nothing to do: the database is up to date")
			}
			return err
		},
	}
}

func (c *cli) bootstrapCommand() *cobra.Command {
	var newCredential bool
	cmd := &cobra.Command{
		Use:   "bootstrap",
		Short: "Make the platform operator's agent and show its secret, once",
		Long: `Make the system organization and the platform operator's agent, which may create
organizations and act in any of them. Its client secret is printed once, as
JSON on standard output, and is stored nowhere.

Running it again changes nothing and shows no secret. If the secret is lost,
--new-credential makes another; older ones stay alive until they are revoked.
If the operator itself was lost, another one is made in its place.`,
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := c.Config()
			if err != nil {
				return err
			}
			operator, err := upkeep.Bootstrap(cmd.Context(), settings, newCredential)
			if err != nil {
				return err
			}
			explainOperator(cmd.ErrOrStderr(), operator)
			return printJSON(cmd.OutOrStdout(), operator)
		},
	}
	cmd.Flags().BoolVar(&newCredential, "new-credential", false, "make another credential for an operator that has one")
	return cmd
}

// explainOperator says what the operator's JSON does not.
func explainOperator(w io.Writer, operator upkeep.Operator) {
	if operator.Replaces != "" {
		fmt.Fprintf(w, "The operator %s cannot run the platform any more; the operator is now %s.\n", operator.Replaces, operator.ClientID)
	}
	if operator.ClientSecret == "" {
		fmt.Fprintln(w, "The operator exists already. Its secret was shown when it was made; --new-credential makes another.")
		return
	}
	fmt.Fprintln(w, "Keep the clientSecret: it is not shown again.")
	if operator.Older > 0 {
		credentials := "/api/v1/agents/" + operator.ClientID + "/credentials"
		fmt.Fprintf(w, "%d older credentials of this operator stay alive. With a token that has all of its scopes, admin:orgs included,\n"+
			"GET %s?status=active lists them and DELETE %s/{credentialId} ends one.\n", operator.Older, credentials, credentials)
	}
}

func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}
