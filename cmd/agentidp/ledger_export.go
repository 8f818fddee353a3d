package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/command"
	"github.com/sentryagent/agentidp/replay/bundle"
)

func (c *cli) ledgerExportCommand() *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:   "export -o file",
		Short: "Write the ledger into a file that proves itself",
		Long: `Write the ledger, or what one organization has in it, into a file that proves
itself: the records as they are, the transparency log of them and every
checkpoint that was signed. Anybody can verify it, with "agentidp ledger verify"
or with docs/verify.py, without a server or a database.

The ledger may be written to meanwhile; the bundle ends where its log ended at
the beginning. Sign first (agentidp ledger checkpoint) to have all of it proven.
Where the log lacks events, because no server runs that adds them, nothing is
written (exit code 2). A bundle of an organization is verified with the key of
its own log: agentidp ledger checkpoint --key KEY --organization ID.
The file holds what the audit trail holds, so it is readable by its owner alone.`,
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.ledgerExport(cmd, o) },
	}
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "the `file` to write, - for standard output; a regular file that is there is replaced")
	cmd.Flags().StringVar(&o.organization, "organization", "", "export only the events of the organization with this `id`")
	cmd.Flags().StringVar(&o.key, "key", "", pinnedKeyUsage)
	cmd.Flags().BoolVar(&o.json, "json", false, "print the manifest as JSON")
	return cmd
}

type exportOptions struct {
	output, organization, key string
	json                      bool
}

func (c *cli) ledgerExport(cmd *cobra.Command, o exportOptions) error {
	if o.output == "" {
		return command.Usage(errors.New("-o is missing: which file to write"))
	}
	ctx := cmd.Context()
	ledger, identity, id, err := c.openKnown(ctx, o.organization, o.key)
	if err != nil {
		return err
	}
	defer ledger.Close()
	head, err := ledger.Store.Head(ctx)
	if err != nil {
		return command.Unchecked(err)
	}
	if err := ledger.Logged(ctx, id); err != nil {
		return command.Unchecked(err)
	}
	bar := newProgress(cmd.ErrOrStderr(), "exporting", int64(head))
	defer bar.done()
	exporter := ledger.Exporter(identity, bar.add)
	var manifest bundle.Manifest
	export := func(ctx context.Context, w io.Writer) (err error) {
		manifest, err = exporter.Export(ctx, w, domain.OrganizationID{UUID: id})
		return err
	}
	told := cmd.OutOrStdout()
	if o.output == "-" {
		told = cmd.ErrOrStderr()
		err = export(ctx, cmd.OutOrStdout())
	} else {
		err = replaceFile(ctx, o.output, export)
	}
	bar.done()
	if err != nil {
		return command.Unchecked(err)
	}
	if o.json {
		return printJSON(told, manifest)
	}
	_, err = fmt.Fprintf(told, "%s: %d events of %s, %d checkpoints\n", o.output, manifest.Events, manifest.Origin, manifest.Checkpoints)
	return err
}

// replaceFile has a file written beside its place, and puts it there when it is
// complete.
func replaceFile(ctx context.Context, path string, write func(context.Context, io.Writer) error) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file, so it is not replaced: name a file, or - for standard output", path)
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	if err = write(ctx, file); err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}
