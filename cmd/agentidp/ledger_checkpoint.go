package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/internal/command"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/server/upkeep"
)

func (c *cli) ledgerCheckpointCommand() *cobra.Command {
	var o checkpointOptions
	cmd := &cobra.Command{
		Use:   "checkpoint",
		Short: "Sign the ledger as it is now and print the signed checkpoint",
		Long: `Sign the log of the whole ledger, or of one organization, as it is now, and
print the signed checkpoint (C2SP tlog-checkpoint) on standard output. Where the
log lacks events, because no server runs that adds them, nothing is signed (exit
code 2). Keep it away from the database: it is what an export or the running ledger can be
verified against, later and by anybody.

Nothing is signed that does not extend what was signed before, as CHECKPOINT_FILE
remembers it (exit code 1). Where that file is new or was lost, --adopt has it
take over the newest checkpoints from the database, after checking that they are
ours and that the ledger extends them. What only the lost file knew is then
given up, so be sure that it is lost.

Signing and printing the key need MASTER_KEY_FILE and the settings that the
servers share, and signing needs the server's login. An auditor has neither: ask
the operators for the key, once. All logs are signed with one key, under a name
each: with --key and a key that was pinned, or a file with it, the key of the log
that --organization names is printed without configuration and database.`,
		Example: `  agentidp ledger checkpoint > checkpoint
  agentidp ledger checkpoint --key > ledger.key
  agentidp ledger checkpoint --key ledger.key --organization 019a3f5e-0a1b-7c2d-8e3f-4a5b6c7d8e9f > organization.key`,
		Args: func(_ *cobra.Command, args []string) error { return o.check(args) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.pinned != "" {
				return printPinned(cmd, o)
			}
			return c.ledgerCheckpoint(cmd, o)
		},
	}
	cmd.Flags().StringVar(&o.organization, "organization", "", "sign the log of the organization with this `id`")
	cmd.Flags().BoolVar(&o.adopt, "adopt", false, "take over what the database says was signed, where CHECKPOINT_FILE does not know")
	cmd.Flags().BoolVar(&o.key, "key", false, "print the key to verify checkpoints with instead, for auditors to pin; of a pinned one or a file with it, where that is named")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

type checkpointOptions struct {
	organization     string
	adopt, key, json bool
	pinned           string // a key, or a file with it
}

func (o *checkpointOptions) check(args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case !o.key || len(args) > 1:
		return command.Usage(fmt.Errorf("ledger checkpoint takes no %q: only --key takes a pinned key, or a file with it", args[len(args)-1]))
	case o.adopt:
		return command.Usage(errors.New("--adopt goes with signing"))
	}
	o.pinned = args[0]
	return nil
}

// shownCheckpoint is the form for scripts.
type shownCheckpoint struct {
	Origin      string    `json:"origin"`
	VerifierKey string    `json:"verifierKey"`
	TreeSize    int64     `json:"treeSize,omitempty"`
	RootHash    string    `json:"rootHash,omitempty"`
	SignedAt    time.Time `json:"signedAt,omitzero"`
	Checkpoint  string    `json:"checkpoint,omitempty"`
	Adopted     []string  `json:"adopted,omitempty"`
}

func (c *cli) ledgerCheckpoint(cmd *cobra.Command, o checkpointOptions) error {
	ledger, signer, id, err := c.openSigned(cmd.Context(), o.organization)
	if err != nil {
		return err
	}
	defer ledger.Close()
	shown := shownCheckpoint{Origin: signer.Origin(id), VerifierKey: signer.VerifierKey(id)}
	if !o.key {
		if err := takesWrites(cmd.Context(), ledger); err != nil {
			return command.Unchecked(err)
		}
		if err := ledger.Logged(cmd.Context(), id); err != nil {
			return command.Unchecked(err)
		}
		if err := o.sign(cmd.Context(), signer, id, &shown); err != nil {
			return err
		}
	}
	return o.print(cmd, shown)
}

// printPinned prints the key of a log by that of another log of the same ledger.
func printPinned(cmd *cobra.Command, o checkpointOptions) error {
	log, err := transparencyLog(o.organization)
	if err != nil {
		return err
	}
	identity, err := identityOf(o.pinned)
	if err != nil {
		return err
	}
	return o.print(cmd, shownCheckpoint{Origin: identity.Origin(log), VerifierKey: identity.VerifierKey(log)})
}

func (o checkpointOptions) print(cmd *cobra.Command, shown shownCheckpoint) (err error) {
	switch {
	case o.json:
		return printJSON(cmd.OutOrStdout(), shown)
	case o.key:
		_, err = fmt.Fprintln(cmd.OutOrStdout(), shown.VerifierKey)
	default:
		for _, adopted := range shown.Adopted {
			fmt.Fprintln(cmd.ErrOrStderr(), "adopted", adopted)
		}
		_, err = fmt.Fprint(cmd.OutOrStdout(), shown.Checkpoint)
	}
	return err
}

// takesWrites refuses a database that no server can work with: there the log lacks
// what it lacks, and nobody can add it.
func takesWrites(ctx context.Context, ledger *upkeep.Ledger) error {
	var readOnly bool
	err := ledger.Pool.QueryRow(ctx, `SELECT current_setting('transaction_read_only')::boolean`).Scan(&readOnly)
	if err == nil && readOnly {
		err = errors.New("the database is read-only, as a standby is: sign on the primary")
	}
	return err
}

func (o checkpointOptions) sign(ctx context.Context, signer *transparency.Signer, id uuid.UUID, shown *shownCheckpoint) error {
	var refused *transparency.RefusedError
	if o.adopt {
		adopted, err := signer.Adopt(ctx)
		for _, a := range adopted {
			shown.Adopted = append(shown.Adopted, fmt.Sprintf("%s at %d", a.Origin, a.Size))
		}
		if err != nil && !errors.As(err, &refused) {
			return command.Unchecked(err)
		}
		if err != nil {
			return err
		}
	}
	signed, err := signer.Sign(ctx, id)
	switch {
	case errors.As(err, &refused) && refused.Refusal == transparency.Forgotten:
		return fmt.Errorf("%w: restore CHECKPOINT_FILE, or see --adopt", err)
	case errors.As(err, &refused):
		return err
	case err != nil:
		return command.Unchecked(readOnly(err, "sign on the primary"))
	case len(signed) == 0:
		return command.Unchecked(errors.New("there is nothing to sign yet: the log is empty or still catching up with the ledger"))
	}
	shown.TreeSize, shown.RootHash = signed[0].Size, signed[0].Root.String()
	shown.SignedAt, shown.Checkpoint = signed[0].SignedAt, string(signed[0].Note)
	return nil
}

// transparencyLog is the log that is meant: of an organization, or without one
// of the whole ledger.
func transparencyLog(organization string) (uuid.UUID, error) {
	if organization == "" {
		return transparency.Whole, nil
	}
	id, err := uuid.Parse(organization)
	if err != nil || id == uuid.Nil {
		return id, command.Usage(fmt.Errorf("--organization must be the id of an organization, got %q", organization))
	}
	return id, nil
}
