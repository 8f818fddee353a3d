package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/internal/command"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay/bundle"
	"github.com/sentryagent/agentidp/server/upkeep"
)

func (c *cli) ledgerProveCommand() *cobra.Command {
	var organization, key string
	cmd := &cobra.Command{
		Use:   "prove eventId",
		Short: "Print a proof that an event is in the ledger",
		Long: `Print a proof that an event is in the ledger, on standard output: its record,
its place in the log, and the way from there to a root that was signed (C2SP
tlog-proof). "agentidp ledger verify" checks it offline.

Exit code 0: proven. 1: the event is in the ledger and not in its log. 2: it
could not be looked at, or is not signed yet: sign with "agentidp ledger
checkpoint".`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return command.Usage(errors.New("name one event by its id"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return c.ledgerProve(cmd, args[0], organization, key) },
	}
	cmd.Flags().StringVar(&organization, "organization", "", "prove it in the log of the organization with this `id`")
	cmd.Flags().StringVar(&key, "key", "", pinnedKeyUsage)
	return cmd
}

func (c *cli) ledgerProve(cmd *cobra.Command, event, organization, key string) error {
	id, err := uuid.Parse(event)
	if err != nil {
		return command.Usage(fmt.Errorf("an event's id is a UUID, got %q", event))
	}
	ctx := cmd.Context()
	ledger, identity, log, err := c.openKnown(ctx, organization, key)
	if err != nil {
		return err
	}
	defer ledger.Close()
	proof, err := prove(ctx, ledger, log, identity.VerifierKey(log), id)
	switch {
	case errors.Is(err, transparency.ErrNotLogged):
		return err
	case err != nil:
		return command.Unchecked(err)
	}
	_, err = cmd.OutOrStdout().Write(proof)
	return err
}

func prove(ctx context.Context, ledger *upkeep.Ledger, log uuid.UUID, verifierKey string, id uuid.UUID) ([]byte, error) {
	event, found, err := ledger.Event(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, fmt.Errorf("there is no event %s", id)
	case log != transparency.Whole && event.Organization != log:
		return nil, fmt.Errorf("event %s is not of that organization", id)
	}
	logs := ledger.Logs()
	state, err := logs.State(ctx, log)
	switch {
	case err != nil:
		return nil, err
	case state.Position < event.Position:
		return nil, fmt.Errorf("event %s is not in its log yet: start a server, or wait until the one that runs has caught up", id)
	}
	return bundle.Prove(ctx, logs, log, verifierKey, event.Position, event.Record)
}

// shownProof is the form for scripts.
type shownProof struct {
	Verified bool            `json:"verified"`
	Origin   string          `json:"origin"`
	TreeSize int64           `json:"treeSize"`
	Index    int64           `json:"index"`
	Record   json.RawMessage `json:"record"`
}

// maxProof is well above a record of the largest size, a path and a checkpoint
// with many cosignatures.
const maxProof = 1 << 20

func verifyProof(cmd *cobra.Command, o verifyOptions, path string, file io.Reader) error {
	if o.key == "" {
		return command.Usage(errors.New("a proof is verified with the key that you pinned: --key"))
	}
	if len(o.against) > 0 {
		return command.Usage(errors.New("--against goes with bundles and --live: a proof is of one event"))
	}
	content, err := io.ReadAll(io.LimitReader(file, maxProof+1))
	if err == nil && len(content) > maxProof {
		err = fmt.Errorf("%s: no proof is larger than %d bytes", path, maxProof)
	}
	if err != nil {
		return command.Unchecked(err)
	}
	proven, err := bundle.VerifyProof(content, o.key)
	switch {
	case errors.Is(err, bundle.ErrProof):
		return fmt.Errorf("%s: %w", path, err)
	case err != nil:
		return command.Unchecked(fmt.Errorf("%s: %w", path, err))
	}
	shown := shownProof{true, proven.Checkpoint.Origin, proven.Checkpoint.Size, proven.Index, proven.Event.Record}
	if o.json {
		return printJSON(cmd.OutOrStdout(), shown)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "proven: event %s is entry %d of %s, which was signed with %d entries\n%s\n",
		proven.Event.ID, shown.Index, shown.Origin, shown.TreeSize, shown.Record)
	return err
}
