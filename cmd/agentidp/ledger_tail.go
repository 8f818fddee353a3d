package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/command"
	"github.com/sentryagent/agentidp/internal/wait"
)

func (c *cli) ledgerTailCommand() *cobra.Command {
	var o tailOptions
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Print events, one JSON object a line, and follow the ledger",
		Long: `Print the newest events, or those after a position, one JSON object a line:
position, hash and the record as it is. With -f go on with those that come, until
Ctrl-C; nothing is left out and nothing comes twice, also where the connection is
lost and made again.`,
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.newest = !cmd.Flags().Changed("from")
			return c.ledgerTail(cmd, o)
		},
	}
	cmd.Flags().BoolVarP(&o.follow, "follow", "f", false, "go on with events as they come")
	cmd.Flags().Uint16VarP(&o.events, "events", "n", 10, "how `many` of the newest to begin with")
	cmd.Flags().Uint64Var(&o.from, "from", 0, "begin after this `position`, 0 for the beginning")
	cmd.Flags().StringVar(&o.organization, "organization", "", "only events of the organization with this `id`")
	cmd.MarkFlagsMutuallyExclusive("events", "from")
	return cmd
}

type tailOptions struct {
	follow, newest bool
	events         uint16
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
	if err := ledger.Knows(ctx, organization); err != nil {
		return command.Unchecked(err)
	}
	filter, lines := eventstore.Filter{Organization: organization}, bufio.NewWriter(cmd.OutOrStdout())
	after := eventstore.Position(o.from)
	if o.newest {
		if after, err = printNewest(ctx, ledger.Store, int(o.events), filter, lines); err != nil {
			return command.Unchecked(err)
		}
	}
	if o.newest && !o.follow {
		return nil
	}
	subscription := ledger.Store.Subscribe(after, filter)
	defer subscription.Close()
	err = follow(ctx, subscription, lines, o.follow, func(err error) {
		fmt.Fprintf(cmd.ErrOrStderr(), "agentidp: %v; trying again\n", err)
	})
	if o.follow && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// printNewest prints the last n events and gives the position to go on from.
func printNewest(ctx context.Context, store eventstore.Store, n int, filter eventstore.Filter, w *bufio.Writer) (eventstore.Position, error) {
	after, err := store.Head(ctx) // first: what comes between the two is not left out
	if err != nil {
		return 0, err
	}
	newest, err := store.Newest(ctx, n, filter)
	if err != nil {
		return 0, err
	}
	if len(newest) > 0 {
		after = newest[len(newest)-1].Position
	}
	return after, printEvents(w, newest)
}

// follow prints events until the end, or, going on, until ctx ends. Going on, it
// outlives a ledger that cannot be reached for a while; lost is told of that once
// each time.
func follow(ctx context.Context, events eventstore.Subscription, w *bufio.Writer, goOn bool, lost func(error)) error {
	const pause = 500 * time.Millisecond
	for failed := false; ; {
		batch, err := events.Next(ctx)
		if goOn && errors.Is(err, eventstore.ErrUnavailable) {
			if !failed {
				lost(err)
			}
			failed = true
			if err := wait.For(ctx, pause); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		failed = false
		if err := printEvents(w, batch.Events); err != nil || !goOn && batch.Position >= batch.Head {
			return err
		}
	}
}

func printEvents(w *bufio.Writer, events []eventstore.Event) (err error) {
	for _, e := range events {
		record := e.Record
		if !json.Valid(record) { // somebody was at it; show it all the same
			if record, err = json.Marshal(e.Record); err != nil {
				return err
			}
		}
		fmt.Fprintf(w, `{"position":%d,"hash":"%s","record":%s}`+"\n", e.Position, e.Hash, record)
	}
	return w.Flush()
}
