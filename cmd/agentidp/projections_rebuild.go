package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/command"
	"github.com/sentryagent/agentidp/projections"
)

// rebuiltModel is the result of a rebuild, as JSON.
type rebuiltModel struct {
	Name        string              `json:"name"`
	Version     int                 `json:"version"`
	ResumedFrom eventstore.Position `json:"resumedFrom"`
	Position    eventstore.Position `json:"position"`
	Events      int64               `json:"events"`
	Seconds     float64             `json:"seconds"`
	HeldMS      float64             `json:"readersHeldMs"`
	Error       string              `json:"error,omitempty"`
}

func (c *cli) projectionsRebuildCommand() *cobra.Command {
	var all, restart, asJSON bool
	cmd := &cobra.Command{
		Use:   "rebuild {<name>... | --all}",
		Short: "Derive read models anew from the ledger, beside the live ones",
		Long: `Derive read models anew from the ledger, beside the live ones, and let the
result take their place in one short transaction. Servers go on reading and
writing meanwhile. Nothing but the read models changes: no webhook is sent,
no event is appended.

One that was stopped or killed has changed nothing that is live, and the next
one goes on where it was.

Exits with 1 when one of them did not get to its end, with 2 when none could
begin: the command line makes no sense, or the database or the ledger cannot be
reached.`,
		RunE: func(cmd *cobra.Command, names []string) error {
			if all == (len(names) > 0) {
				return command.Usage(errors.New("name projections to rebuild, or say --all"))
			}
			chosen, err := chosenProjections(names)
			if err != nil {
				return err
			}
			r, err := c.openReadSide(cmd)
			if err != nil {
				return command.Unchecked(err)
			}
			defer r.Close()
			meter := newMeter(cmd.ErrOrStderr(), r.logger, "rebuild", chosen)
			results := projections.NewRebuilder(r.Pool, r.Store, projections.RebuildOptions{
				Logger: meter.logger(), Restart: restart, Report: meter.report,
			}).Rebuild(cmd.Context(), chosen...)
			meter.end()
			if err := printRebuilt(cmd.OutOrStdout(), results, asJSON); err != nil {
				return err
			}
			return projections.RebuildError(results)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "rebuild all read models, in one pass over the ledger")
	cmd.Flags().BoolVar(&restart, "restart", false, "throw away what an unfinished rebuild has left, instead of going on with it")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

func printRebuilt(w io.Writer, results []projections.Rebuilt, asJSON bool) error {
	models := make([]rebuiltModel, len(results))
	for i, r := range results {
		models[i] = rebuiltModel{
			Name: r.Projection, Version: r.Version, ResumedFrom: r.Resumed, Position: r.Position, Events: r.Events,
			Seconds: r.Took.Seconds(), HeldMS: float64(r.Held.Microseconds()) / 1000,
		}
		if r.Err != nil {
			models[i].Error = r.Err.Error()
		}
	}
	if asJSON {
		return printJSON(w, map[string]any{"projections": models})
	}
	for _, r := range results {
		if r.Err != nil {
			continue // it is told as the command's error
		}
		from := ""
		if r.Resumed > 0 {
			from = fmt.Sprintf(", resumed from position %d", r.Resumed)
		}
		fmt.Fprintf(w, "%s: version %d is live at position %d; %d events in %s%s; readers waited %s at most\n", r.Projection,
			r.Version, r.Position, r.Events, r.Took.Round(time.Millisecond), from, r.Held.Round(100*time.Microsecond))
	}
	return nil
}
