package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/command"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// verifiedModel is the result of a verification, as JSON.
type verifiedModel struct {
	Name        string                   `json:"name"`
	Position    eventstore.Position      `json:"position"`
	Events      int64                    `json:"events"`
	Rows        int64                    `json:"rows"`
	Different   int64                    `json:"different"`
	Differences []projections.Difference `json:"differences"`
	Error       string                   `json:"error,omitempty"`
}

func (c *cli) projectionsVerifyCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify [name...]",
		Short: "Compare read models with rows derived afresh from the ledger",
		Long: `Compare every row of the read models, all or those named, with one derived
afresh from the ledger, at one and the same position. Rows that were changed,
are missing or are too many are named. Nothing is changed and nobody waits.

"snapshots" is the states of long streams from which servers decide: each is
opened with the master key, and its stream is folded again from the beginning.

It needs room in the database for temporary copies of the read models.

Exits with 0 when they are equal, with 1 when they differ, with 2 when they
could not be compared. "agentidp projections rebuild" puts right what differs.`,
		RunE: func(cmd *cobra.Command, names []string) error {
			chosen, snapshots, err := chosenToVerify(names)
			if err != nil {
				return err
			}
			r, err := c.openReadSide(cmd)
			if err != nil {
				return command.Unchecked(err)
			}
			defer r.Close()
			meter := newMeter(cmd.ErrOrStderr(), r.logger, "verify", chosen)
			results := projections.NewVerifier(r.Pool, r.Store, projections.VerifyOptions{Report: meter.report}).Verify(cmd.Context(), chosen...)
			meter.end()
			if snapshots {
				results = append(results, r.verifySnapshots(cmd.Context()))
			}
			if err := printVerified(cmd.OutOrStdout(), results, asJSON); err != nil {
				return err
			}
			return verdict(results)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

// snapshotTable is the table of the write side's snapshots, and what it is called
// where it is verified beside the read models.
const snapshotTable = "snapshots"

// chosenToVerify are the projections named, and whether snapshots are; or all.
func chosenToVerify(names []string) (chosen []projections.Projection, snapshots bool, err error) {
	if len(names) == 0 {
		return readmodels.All(), true, nil
	}
	others := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == snapshotTable })
	if snapshots = len(others) < len(names); len(others) > 0 {
		chosen, err = chosenProjections(others)
	}
	return chosen, snapshots, err
}

// verifySnapshots holds the write side's snapshots against their streams.
func (r *readSide) verifySnapshots(ctx context.Context) projections.Verified {
	result := projections.Verified{Projection: snapshotTable}
	var found ledger.SnapshotsVerified
	if result.Position, result.Err = r.Store.Head(ctx); result.Err == nil {
		found, result.Err = r.VerifySnapshots(ctx)
	}
	result.Events, result.Rows, result.Different = found.Events, found.Checked, int64(len(found.Faults))
	for _, fault := range found.Faults {
		result.Found = append(result.Found, projections.Difference{
			Table: snapshotTable, Key: map[string]string{"stream": fault.Stream}, Kind: projections.Changed, Reason: fault.Reason.Error(),
		})
	}
	return result
}

// verdict is the error that a verification ends with: that some could not be
// compared counts more than that others differ.
func verdict(results []projections.Verified) error {
	var errs []error
	different := int64(0)
	for _, r := range results {
		different += r.Different
		if r.Err != nil {
			errs = append(errs, fmt.Errorf("verify %s: %w", r.Projection, r.Err))
		}
	}
	if different > 0 {
		errs = append(errs, fmt.Errorf("%d rows differ from what the ledger says", different))
	}
	switch {
	case len(errs) == 0:
		return nil
	case different > 0:
		return errors.Join(errs...)
	}
	return command.Unchecked(errors.Join(errs...))
}

func printVerified(w io.Writer, results []projections.Verified, asJSON bool) error {
	models := make([]verifiedModel, len(results))
	for i, r := range results {
		models[i] = verifiedModel{
			Name: r.Projection, Position: r.Position, Events: r.Events, Rows: r.Rows, Different: r.Different,
			Differences: append([]projections.Difference{}, r.Found...),
		}
		if r.Err != nil {
			models[i].Error = r.Err.Error()
		}
	}
	if asJSON {
		return printJSON(w, map[string]any{"projections": models})
	}
	for _, r := range results {
		switch {
		case r.Err != nil:
			continue // it is told as the command's error
		case r.Different == 0:
			fmt.Fprintf(w, "%s: %d rows are as the ledger says at position %d\n", r.Projection, r.Rows, r.Position)
		default:
			fmt.Fprintf(w, "%s: %d rows differ from what the ledger says at position %d\n", r.Projection, r.Different, r.Position)
		}
		for _, d := range r.Found {
			fmt.Fprintf(w, "  %s\n", d)
		}
		if more := r.Different - int64(len(r.Found)); more > 0 {
			fmt.Fprintf(w, "  and %d more\n", more)
		}
	}
	return nil
}
