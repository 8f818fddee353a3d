package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/command"
	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay/bundle"
	"github.com/sentryagent/agentidp/replay/move"
	"github.com/sentryagent/agentidp/server/upkeep"
)

func (c *cli) ledgerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ledger",
		Short: "Ask the ledger itself, as an auditor",
		Long: `Ask the ledger itself, as an auditor. These commands read the database of
DATABASE_URL and need no server, no Redis and, with a key that was pinned, no
master key; a login that only reads will do. Signing needs the master key.
Verifying a bundle or a proof, and asking a bundle for a state, needs nothing;
copy takes the ledgers by flags.

Exit code 0: intact, or answered. 1: broken, refused, or there is no such thing.
2: it could not be looked at; nothing is known.`,
		Args: command.NoArguments,
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
	for _, sub := range cmd.Commands() {
		run := sub.RunE
		sub.RunE = func(cmd *cobra.Command, args []string) error { return answered(run(cmd, args)) }
	}
	return cmd
}

// answered makes exit code 1 mean that something was found. Whatever else goes
// wrong, be it that the answer could not be printed, leaves the question open.
func answered(err error) error {
	var faults config.Faults
	var invalid *domain.Error
	if errors.As(err, &invalid) && invalid.Code == domain.CodeValidation {
		return command.Usage(errors.New(strings.TrimPrefix(err.Error(), string(domain.CodeValidation)+": ")))
	}
	if err == nil || isFinding(err) || command.IsUsage(err) || errors.As(err, &faults) {
		return err
	}
	return command.Unchecked(err)
}

// absentError: there was no such thing at that moment.
type absentError struct{ message string }

func (e absentError) Error() string { return e.message }

// isFinding reports whether an error is the answer that something is not as it
// should be.
func isFinding(err error) bool {
	var broken brokenError
	var refused *transparency.RefusedError
	var difference *move.Difference
	var chain *eventstore.Break
	var absent absentError
	return !command.IsUnchecked(err) && (errors.As(err, &broken) || errors.As(err, &refused) || errors.As(err, &difference) ||
		errors.As(err, &chain) || errors.As(err, &absent) || errors.Is(err, bundle.ErrProof) || errors.Is(err, move.ErrNoExtension) || errors.Is(err, transparency.ErrNotLogged))
}

// openLedger opens the ledger of the configuration and finds which log is meant.
func (c *cli) openLedger(ctx context.Context, organization string) (*upkeep.Ledger, uuid.UUID, error) {
	log, err := transparencyLog(organization)
	if err != nil {
		return nil, log, err
	}
	settings, err := c.reading()
	if err != nil {
		return nil, log, err
	}
	ledger, err := upkeep.OpenLedgerForReading(ctx, settings)
	if err != nil {
		return nil, log, command.Unchecked(err)
	}
	return ledger, log, nil
}

// openSigned is openLedger with the signer of its checkpoints.
func (c *cli) openSigned(ctx context.Context, organization string) (*upkeep.Ledger, *transparency.Signer, uuid.UUID, error) {
	ledger, log, err := c.openLedger(ctx, organization)
	if err != nil {
		return nil, nil, log, err
	}
	signer, err := ledger.Signer(ctx)
	if err != nil {
		ledger.Close()
		return nil, nil, log, command.Unchecked(err)
	}
	return ledger, signer, log, nil
}

const pinnedKeyUsage = "the pinned `key` of the ledger, or a file with it; without it MASTER_KEY_FILE is needed"

// openKnown is openLedger with what its logs are known by: from the key, or the
// file with a key, that was pinned; from the master key where none was.
func (c *cli) openKnown(ctx context.Context, organization, pinned string) (*upkeep.Ledger, transparency.Identity, uuid.UUID, error) {
	var identity transparency.Identity
	if pinned != "" {
		known, err := identityOf(pinned)
		if err != nil {
			return nil, identity, uuid.Nil, err
		}
		identity = known
	}
	ledger, log, err := c.openLedger(ctx, organization)
	if err != nil || pinned != "" {
		return ledger, identity, log, err
	}
	identity, err = ledger.Identity(ctx)
	if errors.Is(err, upkeep.ErrNoMasterKey) {
		err = fmt.Errorf("%w: name the key that you pinned (--key), or set MASTER_KEY_FILE", err)
	}
	if err != nil {
		ledger.Close()
		return nil, identity, log, command.Unchecked(err)
	}
	return ledger, identity, log, nil
}

// identityOf is what the logs of a ledger are known by: by the key of one of them
// that was pinned, or a file with it.
func identityOf(pinned string) (transparency.Identity, error) {
	key, err := readKey(pinned)
	if err != nil {
		return transparency.Identity{}, err
	}
	identity, err := transparency.ParseIdentity(key)
	if err != nil {
		err = command.Usage(fmt.Errorf("--key: %w: it is called <host>/ledger or <host>/org/<id>", err))
	}
	return identity, err
}
