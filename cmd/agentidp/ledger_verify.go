package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/replay"
)

func (c *cli) ledgerVerifyCommand() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify (bundle | proof | --live)",
		Short: "Prove that nothing was altered, removed, inserted or reordered",
		Long: `Prove that nothing was altered, removed, inserted or reordered: in a bundle of
"agentidp ledger export", of one event by a proof of "agentidp ledger prove", or,
with --live, in the running ledger. What is wrong is named by its kind and by the
first wrong event; docs/runbooks/broken-chain.md says what to do then.

A bundle and a proof need no server, no database and no configuration. Pin the
key that they are verified with: "agentidp ledger checkpoint --key" prints it.
A bundle brings its key along, which proves little about who made it.

Checkpoints that were kept elsewhere are the best witness against somebody who
has the whole database. --against takes signed checkpoints and files that a
server keeps as CHECKPOINT_FILE; --live takes the latter by itself.

Exit code 0: intact. 1: broken. 2: it could not be checked.`,
		Args: func(_ *cobra.Command, args []string) error { return o.check(args) },
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.live {
				return c.verifyLive(cmd, o)
			}
			return verifyFile(cmd, o, args[0])
		},
	}
	cmd.Flags().StringVar(&o.key, "key", "", "the pinned `key` to verify checkpoints with (C2SP signed-note vkey)")
	cmd.Flags().StringArrayVar(&o.against, "against", nil, "a `file` with a checkpoint that was kept; may be repeated")
	cmd.Flags().BoolVar(&o.live, "live", false, "verify the running ledger, in the database of DATABASE_URL")
	cmd.Flags().BoolVar(&o.incremental, "incremental", false, "with --live: only what has come since the last time")
	cmd.Flags().StringVar(&o.organization, "organization", "", "with --live: only what the organization with this `id` has")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

type verifyOptions struct {
	key                     string
	against                 []string
	live, incremental, json bool
	organization            string
}

func (o *verifyOptions) check(args []string) error {
	switch {
	case o.live && len(args) > 0:
		return usageError{fmt.Errorf("--live and %q: one of them", args[0])}
	case o.live && o.key != "":
		return usageError{errors.New("--live goes by the server's own key, not by --key: export a bundle and verify that")}
	case o.live && o.incremental && o.organization != "":
		return usageError{errors.New("--incremental is of the whole ledger: leave --organization away")}
	case o.live:
		return nil
	case o.incremental || o.organization != "":
		return usageError{errors.New("--incremental and --organization go with --live")}
	case len(args) != 1:
		return usageError{errors.New("name one bundle or proof, or say --live")}
	}
	return nil
}

func (c *cli) verifyLive(cmd *cobra.Command, o verifyOptions) error {
	ctx := cmd.Context()
	ledger, signer, id, err := c.openSigned(ctx, o.organization)
	if err != nil {
		return err
	}
	defer ledger.Close()
	against, err := readCheckpoints(o.against, signer.VerifierKey(id))
	if err != nil {
		return err
	}
	total := int64(-1)
	if head, err := ledger.Store.Head(ctx); err == nil && !o.incremental && o.organization == "" {
		total = int64(head)
	}
	bar := newProgress(cmd.ErrOrStderr(), "verifying", total)
	defer bar.done()
	verifier := ledger.Verifier(signer, against, bar.add)
	var report replay.Report
	if o.incremental {
		report, err = verifier.ReportNew(ctx)
	} else {
		report, err = verifier.Verify(ctx, replay.Scope{Organization: domain.OrganizationID{UUID: id}})
	}
	bar.done()
	if err != nil {
		return uncheckedError{err}
	}
	return tell(cmd.OutOrStdout(), shownReport{Origin: signer.Origin(id), VerifierKey: signer.VerifierKey(id), Pinned: true}, report, o.json)
}

func verifyFile(cmd *cobra.Command, o verifyOptions, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return uncheckedError{err}
	}
	defer file.Close()
	start := make([]byte, 64)
	n, err := io.ReadFull(file, start)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return uncheckedError{fmt.Errorf("%s: %w", path, err)}
	}
	if replay.IsProof(start[:n]) {
		return verifyProof(cmd, o, path)
	}
	return verifyBundle(cmd.Context(), cmd, o, file)
}

func verifyBundle(ctx context.Context, cmd *cobra.Command, o verifyOptions, file *os.File) error {
	bundle, err := replay.OpenBundle(file)
	if err != nil {
		return uncheckedError{fmt.Errorf("%s: %w", file.Name(), err)}
	}
	key := o.key
	if key == "" {
		key = bundle.VerifierKey()
	}
	against, err := readCheckpoints(o.against, key)
	if err != nil {
		return err
	}
	bar := newProgress(cmd.ErrOrStderr(), "verifying", bundle.Manifest.Events)
	report, err := bundle.Verify(ctx, replay.BundleOptions{VerifierKey: key, Against: against, Progress: bar.add})
	bar.done()
	if err != nil {
		return uncheckedError{fmt.Errorf("%s: %w", file.Name(), err)}
	}
	if report.Break == nil && report.Checkpoint == nil {
		return uncheckedError{errors.New("there is no checkpoint in it that this key signed: nothing proves it")}
	}
	return tell(cmd.OutOrStdout(), shownReport{Origin: bundle.Manifest.Origin, VerifierKey: key, Pinned: o.key != ""}, report, o.json)
}

// readCheckpoints reads what somebody kept.
func readCheckpoints(paths []string, key string) (kept []replay.Checkpoint, err error) {
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, uncheckedError{err}
		}
		c, err := replay.ReadCheckpoint(bytes.TrimLeft(content, "\n"), key)
		if err != nil {
			return nil, uncheckedError{fmt.Errorf("%s: %w; --key says which key you pinned", path, err)}
		}
		kept = append(kept, c)
	}
	return kept, nil
}
