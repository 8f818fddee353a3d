package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/command"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// projectionState is a line of status, as JSON.
type projectionState struct {
	Name       string              `json:"name"`
	State      string              `json:"state"` // running, stalled, stopped (no server runs it), halted, outdated or empty
	Version    int                 `json:"version"`
	OwnVersion int                 `json:"ownVersion"` // that this build reads
	Position   eventstore.Position `json:"position"`
	Lag        *uint64             `json:"lag,omitempty"` // events behind; nil where positions do not count events
	Behind     float64             `json:"behindSeconds"` // age of the oldest event that it wants and has not applied
	Error      string              `json:"error,omitempty"`
	Rebuild    *rebuildState       `json:"rebuild,omitempty"`
}

type rebuildState struct {
	Version  int                 `json:"version"`
	Position eventstore.Position `json:"position"`
	Head     eventstore.Position `json:"head"`
	Holder   string              `json:"holder"`
}

func (c *cli) projectionsStatusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show where the read models are",
		Long: `Show where the read models are: version, position in the ledger, how far behind
its end (in events, where the engine's positions count them, and the age of the
oldest event that it wants and lacks), whether a server runs it, and rebuilds
that are under way or were left unfinished. One is stalled when a server runs it
and it has applied nothing for half a minute although there is something to apply.

Exits with 1 when one of them has halted or is stalled, with 2 when it could not
find out.`,
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := c.openReadSide(cmd)
			if err != nil {
				return command.Unchecked(err)
			}
			defer r.Close()
			list, err := r.status(cmd.Context())
			if err != nil {
				return command.Unchecked(err)
			}
			attended, err := projections.Attended(cmd.Context(), r.Pool, readmodels.All())
			if err != nil {
				return command.Unchecked(err)
			}
			var states []projectionState
			halted, stalled := 0, 0
			for _, s := range list {
				state := stateOf(s, slices.Contains(attended, s.Projection))
				states = append(states, state)
				switch state.State {
				case "halted":
					halted++
				case "stalled":
					stalled++
				}
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), map[string]any{"projections": states})
			} else {
				err = printStates(cmd.OutOrStdout(), states)
			}
			if err == nil && halted+stalled > 0 {
				err = fmt.Errorf("of %d projections %d have halted and %d are stalled", len(states), halted, stalled)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func stateOf(s projections.Status, attended bool) projectionState {
	state := projectionState{
		Name: s.Projection, State: "running", Version: s.Version, OwnVersion: s.Own,
		Position: s.Position, Behind: s.Behind.Seconds(), Error: s.Error,
	}
	if s.Dense {
		state.Lag = &s.Lag
	}
	switch {
	case s.Version == 0:
		state.State = "empty"
	case s.Halted:
		state.State = "halted"
	case s.Outdated():
		state.State = "outdated"
	case !attended:
		state.State = "stopped"
	case s.StandsStill():
		state.State = "stalled"
	}
	if r := s.Rebuild; r != nil {
		state.Rebuild = &rebuildState{Version: r.Version, Position: r.Position, Head: r.Head, Holder: r.Holder}
	}
	return state
}

func printStates(w io.Writer, states []projectionState) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PROJECTION\tVERSION\tPOSITION\tBEHIND\tSTATE")
	for _, s := range states {
		version := strconv.Itoa(s.Version)
		if s.Version != s.OwnVersion {
			version += fmt.Sprintf(" (this build: %d)", s.OwnVersion)
		}
		state := s.State
		switch s.State {
		case "stopped":
			state += ": no server runs it"
		case "stalled":
			state += ": a server runs it, and it applies nothing"
		}
		if s.Error != "" {
			state += ": " + s.Error
		}
		if r := s.Rebuild; r != nil {
			state += fmt.Sprintf("; rebuild of version %d at %d of %d, by %s", r.Version, r.Position, r.Head, r.Holder)
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\n", s.Name, version, s.Position, s.behind(), state)
	}
	return table.Flush()
}

// behind says by how many events, where that is known, and by how much time.
func (s *projectionState) behind() string {
	age := time.Duration(s.Behind * float64(time.Second)).Round(time.Second)
	switch {
	case s.State == "empty":
		return "all"
	case s.Lag != nil && *s.Lag > 0:
		return fmt.Sprintf("%d events, %s", *s.Lag, age)
	case s.Behind > 0:
		return age.String()
	}
	return "0"
}
