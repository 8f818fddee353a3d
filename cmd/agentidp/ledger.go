package main

import (
	"context"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/cmd/agentidp/app"
	"github.com/sentryagent/agentidp/projections/transparency"
)

func (c *cli) ledgerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ledger",
		Short: "Ask the ledger itself, as an auditor",
		Long: `Ask the ledger itself, as an auditor. These commands read the database of
DATABASE_URL and need no server; verifying a bundle or a proof needs nothing, and
copy is told which ledgers.

Exit code 0: it is as it should be, or as told. 1: it is not. 2: it could not
be looked at.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		c.ledgerCheckpointCommand(),
		c.ledgerStateCommand(),
		c.ledgerExportCommand(),
		c.ledgerVerifyCommand(),
		c.ledgerProveCommand(),
		c.ledgerTailCommand(),
		c.ledgerCopyCommand(),
		c.ledgerAdoptCommand(),
	)
	return cmd
}

// openLedger opens the ledger of the configuration and finds which log is meant.
func (c *cli) openLedger(ctx context.Context, organization string) (*app.Ledger, uuid.UUID, error) {
	log, err := transparencyLog(organization)
	if err != nil {
		return nil, log, err
	}
	settings, err := c.config()
	if err != nil {
		return nil, log, err
	}
	ledger, err := app.OpenLedger(ctx, settings)
	if err != nil {
		return nil, log, uncheckedError{err}
	}
	return ledger, log, nil
}

// openSigned is openLedger with the signer of its checkpoints.
func (c *cli) openSigned(ctx context.Context, organization string) (*app.Ledger, *transparency.Signer, uuid.UUID, error) {
	ledger, log, err := c.openLedger(ctx, organization)
	if err != nil {
		return nil, nil, log, err
	}
	signer, err := ledger.Signer()
	if err != nil {
		ledger.Close()
		return nil, nil, log, uncheckedError{err}
	}
	return ledger, signer, log, nil
}
