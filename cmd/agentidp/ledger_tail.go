package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/eventstore"
)

func (c *cli) ledgerTailCommand() *cobra.Command {
	var o tailOptions
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Print events, one JSON object a line, and follow the ledger",
		Long: `Print the newest events, or those after a position, one JSON object a line:
position, hash and the record as it is. With -f go on with those that come, until
Ctrl-C; nothing is left out and nothing comes twice.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.newest = !cmd.Flags().Changed("from")
			return c.ledgerTail(cmd, o)
		},
	}
	cmd.Flags().BoolVarP(&o.follow, "follow", "f", false, "go on with events as they come")
	cmd.Flags().Uint64Var(&o.from, "from", 0, "begin after this `position`, 0 for the beginning; otherwise near the end")
	cmd.Flags().StringVar(&o.organization, "organization", "", "only events of the organization with this `id`")
	return cmd
}

type tailOptions struct {
	follow, newest bool
	from           uint64
	organization   string
}

func (c *cli) ledgerTail(cmd *cobra.Command, o tailOptions) error {
	ctx := cmd.Context()
	ledger, organization, err := c.openLedger(ctx, o.organization)
	if err != nil {
		return err
	}
	defer ledger.Close()
	after := eventstore.Position(o.from)
	if o.newest {
		const shown = 10
		head, err := ledger.Store.Head(ctx)
		if err != nil {
			return uncheckedError{err}
		}
		after = head - min(head, shown)
	}
	subscription := ledger.Store.Subscribe(after, eventstore.Filter{Organization: organization})
	defer subscription.Close()
	err = follow(ctx, subscription, cmd.OutOrStdout(), o.follow)
	if err != nil && !errors.Is(err, context.Canceled) {
		return uncheckedError{err}
	}
	return nil
}

// follow prints events until the end, or, going on, until ctx ends.
func follow(ctx context.Context, events eventstore.Subscription, w io.Writer, goOn bool) error {
	lines := bufio.NewWriter(w)
	for {
		batch, err := events.Next(ctx)
		if err != nil {
			return err
		}
		for _, e := range batch.Events {
			record := e.Record
			if !json.Valid(record) { // somebody was at it; show it all the same
				if record, err = json.Marshal(e.Record); err != nil {
					return err
				}
			}
			fmt.Fprintf(lines, `{"position":%d,"hash":"%s","record":%s}`+"\n", e.Position, e.Hash, record)
		}
		if err := lines.Flush(); err != nil || !goOn && batch.Position >= batch.Head {
			return err
		}
	}
}
