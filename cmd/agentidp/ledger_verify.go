package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/command"
	"github.com/sentryagent/agentidp/internal/pg"
	"github.com/sentryagent/agentidp/replay/bundle"
	"github.com/sentryagent/agentidp/replay/verify"
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
A bundle brings its key along, which proves little about who made it. The log of
an organization has a key of its own: "checkpoint --key KEY --organization ID".

Checkpoints that were kept elsewhere are the best witness against somebody who
has the whole database. --against takes signed checkpoints and files that a
server keeps as CHECKPOINT_FILE; --live takes the latter by itself. The running
ledger is verified with --key, where that is given, or with MASTER_KEY_FILE.

A bundle from a pipe is "-"; it is kept in a temporary file while it is read.

Exit code 0: intact and proven. 1: broken. 2: it could not be checked, or is not
proven: no key was pinned, or the newest events are signed by nobody (those of
the running ledger will be; of a bundle, --unsigned-tail accepts them).`,
		Args: func(_ *cobra.Command, args []string) error { return o.check(args) },
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.live {
				return c.verifyLive(cmd, o)
			}
			return verifyFile(cmd, o, args[0])
		},
	}
	cmd.Flags().StringVar(&o.key, "key", "", "the pinned `key` to verify checkpoints with, or a file with it (C2SP signed-note vkey)")
	cmd.Flags().BoolVar(&o.unsignedTail, "unsigned-tail", false, "take a bundle whose newest events are not signed for proven")
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
	unsignedTail            bool
	organization            string
}

func (o *verifyOptions) check(args []string) error {
	switch {
	case o.live && len(args) > 0:
		return command.Usage(fmt.Errorf("--live and %q: one of them", args[0]))
	case o.live && o.incremental && o.organization != "":
		return command.Usage(errors.New("--incremental is of the whole ledger: leave --organization away"))
	case o.live && o.unsignedTail:
		return command.Usage(errors.New("--unsigned-tail is of bundles: the running ledger always has one"))
	case o.live:
		return nil
	case o.incremental || o.organization != "":
		return command.Usage(errors.New("--incremental and --organization go with --live"))
	case len(args) == 0:
		return command.Usage(errors.New("name one bundle or proof, or say --live"))
	case len(args) > 1:
		return command.Usage(fmt.Errorf("one bundle or proof at a time: %q is too much", args[1]))
	case o.key != "":
		key, err := readKey(o.key)
		o.key = key
		return err
	}
	return nil
}

// readKey takes a key, or the name of a file that has it.
func readKey(given string) (string, error) {
	key := strings.TrimSpace(given)
	if content, err := os.ReadFile(given); err == nil {
		key = strings.TrimSpace(string(content))
	}
	const form = "a key is written name+8 hexadecimal digits+base64, as \"agentidp ledger checkpoint --key\" prints it"
	_, err := note.NewVerifier(key)
	switch {
	case err == nil:
		return key, nil
	case strings.Count(key, "+") < 2:
		return "", command.Usage(fmt.Errorf("--key %q is neither a file that can be read nor a key: %s", given, form))
	case strings.Contains(err.Error(), "hash"):
		return "", command.Usage(errors.New("--key: the eight digits in it are not those of its name and its key: a character is wrong or missing; copy it again"))
	}
	return "", command.Usage(fmt.Errorf("--key: it is damaged (%w): %s", err, form))
}

func (c *cli) verifyLive(cmd *cobra.Command, o verifyOptions) error {
	ctx := cmd.Context()
	ledger, identity, id, err := c.openKnown(ctx, o.organization, o.key)
	if err != nil {
		return err
	}
	defer ledger.Close()
	if err := ledger.Knows(ctx, id); err != nil {
		return command.Unchecked(err)
	}
	against, err := readCheckpoints(o.against, identity.VerifierKey(id))
	if err != nil {
		return err
	}
	total := int64(-1)
	if head, err := ledger.Store.Head(ctx); err == nil && !o.incremental && o.organization == "" {
		total = int64(head)
	}
	bar := newProgress(cmd.ErrOrStderr(), "verifying", total)
	defer bar.done()
	verifier := ledger.Verifier(identity, checkpointsOf(against), bar.add)
	var report verify.Report
	if o.incremental {
		if report, err = verifier.VerifyNew(ctx); err == nil {
			err = verifier.Remember(ctx, report)
		}
	} else {
		report, err = verifier.Verify(ctx, verify.Scope{Organization: domain.OrganizationID{UUID: id}})
	}
	bar.done()
	if err != nil {
		return command.Unchecked(readOnly(err, "--incremental keeps in it how far it has come; run it on the primary, or verify all without --incremental"))
	}
	return tell(cmd.OutOrStdout(), shownReport{
		Origin: identity.Origin(id), VerifierKey: identity.VerifierKey(id), Pinned: true, live: true, incremental: o.incremental,
	}, report, against, o.json)
}

// readOnly says of an error that the database takes no writes, as a hot standby
// takes none, and what to do.
func readOnly(err error, instead string) error {
	if pg.Is(err, pg.ReadOnlyTransaction) {
		return fmt.Errorf("the database is read-only, as a standby is: %s (%w)", instead, err)
	}
	return err
}

// verifyFile verifies a bundle or a proof; "-" is standard input. What cannot be
// read from the middle, a pipe, is copied first.
func verifyFile(cmd *cobra.Command, o verifyOptions, path string) error {
	file, done, err := openSeekable(cmd.InOrStdin(), path)
	if err != nil {
		return command.Unchecked(err)
	}
	defer done()
	start := make([]byte, 64)
	n, err := io.ReadFull(file, start)
	if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return command.Unchecked(fmt.Errorf("%s: %w", path, err))
	}
	if bundle.IsProof(start[:n]) {
		return verifyProof(cmd, o, path, file)
	}
	return verifyBundle(cmd.Context(), cmd, o, path, file)
}

func openSeekable(stdin io.Reader, path string) (file *os.File, done func(), err error) {
	source := stdin
	if path != "-" {
		opened, err := os.Open(path)
		if err != nil {
			return nil, nil, err
		}
		if info, err := opened.Stat(); err == nil && info.Mode().IsRegular() {
			return opened, func() { _ = opened.Close() }, nil
		}
		defer opened.Close()
		source = opened
	}
	copied, err := os.CreateTemp("", "agentidp-bundle-*")
	if err != nil {
		return nil, nil, err
	}
	done = func() { _ = errors.Join(copied.Close(), os.Remove(copied.Name())) }
	if _, err = io.Copy(copied, source); err == nil {
		_, err = copied.Seek(0, io.SeekStart)
	}
	if err != nil {
		done()
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return copied, done, nil
}

func verifyBundle(ctx context.Context, cmd *cobra.Command, o verifyOptions, path string, file *os.File) error {
	b, err := openBundle(cmd, o, path, file)
	if err != nil {
		return err
	}
	report, err := b.Verify(ctx, b.options)
	b.bar.done()
	if err != nil {
		return b.unchecked(err)
	}
	return tell(cmd.OutOrStdout(), b.shown, report, b.against, o.json)
}

// openedBundle is a bundle with what it is to be proven by.
type openedBundle struct {
	*bundle.Bundle
	path    string
	options bundle.Options
	against []keptCheckpoint
	shown   shownReport
	bar     progress
}

func openBundle(cmd *cobra.Command, o verifyOptions, path string, file *os.File) (*openedBundle, error) {
	opened, err := bundle.Open(file)
	if err != nil {
		return nil, command.Unchecked(fmt.Errorf("%s: %w", path, err))
	}
	key := o.key
	if key == "" {
		key = opened.VerifierKey()
	}
	against, err := readCheckpoints(o.against, key)
	if err != nil {
		return nil, err
	}
	bar := newProgress(cmd.ErrOrStderr(), "verifying", opened.Manifest.Events)
	return &openedBundle{
		Bundle: opened, path: path, against: against, bar: bar,
		options: bundle.Options{VerifierKey: key, Against: checkpointsOf(against), Progress: bar.add},
		shown:   shownReport{Origin: opened.Manifest.Origin, VerifierKey: key, Pinned: o.key != "", unsignedTail: o.unsignedTail},
	}, nil
}

// unchecked says that it could not be verified, and what to do.
func (b *openedBundle) unchecked(err error) error {
	err = fmt.Errorf("%s: %w", b.path, err)
	if id := b.Manifest.Organization; id != nil && b.shown.Pinned && !errors.Is(err, bundle.ErrDamaged) {
		err = fmt.Errorf("%w\nThe log of an organization has a key of its own: agentidp ledger checkpoint --key KEY --organization %s", err, id)
	}
	return command.Unchecked(err)
}

// keptCheckpoint is a checkpoint and the file that it was kept in.
type keptCheckpoint struct {
	verify.Checkpoint
	path string
}

func checkpointsOf(kept []keptCheckpoint) []verify.Checkpoint {
	all := make([]verify.Checkpoint, len(kept))
	for i := range kept {
		all[i] = kept[i].Checkpoint
	}
	return all
}

// readCheckpoints reads what somebody kept.
func readCheckpoints(paths []string, key string) (kept []keptCheckpoint, err error) {
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, command.Unchecked(err)
		}
		c, err := verify.ReadCheckpoint(bytes.TrimLeft(content, "\n"), key)
		if err != nil {
			return nil, command.Unchecked(fmt.Errorf("%s: %w; --key says which key you pinned", path, err))
		}
		kept = append(kept, keptCheckpoint{c, path})
	}
	return kept, nil
}
