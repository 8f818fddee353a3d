package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/command"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/replay/move"
	"github.com/sentryagent/agentidp/server/upkeep"
)

func (c *cli) ledgerAdoptCommand() *cobra.Command {
	var asJSON, acceptLoss bool
	cmd := &cobra.Command{
		Use:   "adopt",
		Short: "Tie the database to the ledger after that was moved to another engine",
		Long: `Tie the database of DATABASE_URL to the ledger of EVENTSTORE, after "agentidp
ledger copy" has moved it there. Positions are an engine's own, so until then no
server starts with these settings.

The ledger is proven to go on from what the database knows of it. Then all read
models are derived anew, and the signing keys are deleted; the next server makes
others. So the access tokens that are out end: each has a position in it, by
which revocations are judged. Credentials and delegation tokens stay good.

With --accept-loss it ties the database to a ledger whose store came back without
its newest events, as a restored backup does, and goes on from what is left. How
much was kept is put on record in the ledger. LEDGER_ORIGIN must be another name
than before, since what was signed under the former one goes on past the end. What
was revoked in the lost events is good again: see docs/runbooks/lost-events.md.

No server may be running. Deleting takes the owner of the database,
MIGRATE_DATABASE_URL. If it is stopped or killed, run it again.

docs/runbooks/moving-engines.md has the whole move.

Exit code 0: done, or there was nothing to do. 1: the ledger is another one, or it
is broken. 2: it could not be done.`,
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.ledgerAdopt(cmd, acceptLoss, asJSON) },
	}
	cmd.Flags().BoolVar(&acceptLoss, "accept-loss", false, "go on without events that are lost for good, and put that on record")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (c *cli) ledgerAdopt(cmd *cobra.Command, acceptLoss, asJSON bool) error {
	r, err := c.openReadSideBy(cmd, upkeep.OpenMovedLedger)
	if err != nil {
		return command.Unchecked(err)
	}
	defer r.Close()
	meter := newMeter(cmd.ErrOrStderr(), r.logger, "adopt", readmodels.All())
	proving := newProgress(cmd.ErrOrStderr(), "proving", -1)
	progress := upkeep.AdoptProgress{Proven: proving.add, Rebuild: meter.report}
	var loss domain.EventsLost
	var rebuilt []projections.Rebuilt
	if acceptLoss {
		loss, rebuilt, err = r.AdoptWithLoss(cmd.Context(), progress)
	} else {
		rebuilt, err = r.Adopt(cmd.Context(), progress)
	}
	proving.done()
	meter.end()
	switch {
	case errors.Is(err, upkeep.ErrAdopted):
		fmt.Fprintln(cmd.ErrOrStderr(), "Nothing to do: the database belongs to this ledger.")
	case err != nil:
		return adoptVerdict(err)
	case acceptLoss:
		fmt.Fprintf(cmd.ErrOrStderr(), "The ledger goes on from the first %d of %d events, which is on record in it. Access tokens from before have ended. "+
			"What was revoked in the lost events is good again: docs/runbooks/lost-events.md says what to do before the servers start.\n", loss.Kept, loss.Known)
	default:
		fmt.Fprintln(cmd.ErrOrStderr(), "The database belongs to this ledger now. Access tokens from before have ended; start the servers.")
	}
	return printRebuilt(cmd.OutOrStdout(), rebuilt, asJSON)
}

// adoptVerdict is an error of an adoption for the exit code: that the ledger is
// not the one, or that it could not be done.
func adoptVerdict(err error) error {
	var broken *eventstore.Break
	switch {
	case errors.Is(err, move.ErrNoExtension):
		return fmt.Errorf("%w; where its newest events are lost for good, docs/runbooks/lost-events.md tells about --accept-loss", err)
	case errors.As(err, &broken):
		return err
	case errors.Is(err, context.Canceled):
		return command.Unchecked(errors.New("interrupted: run the same command again to go on"))
	case errors.Is(err, upkeep.ErrSameOrigin):
		return command.Unchecked(err)
	case errors.Is(err, projections.ErrRunning):
		return command.Unchecked(fmt.Errorf("%w: stop all servers first", err))
	}
	return command.Unchecked(err)
}
