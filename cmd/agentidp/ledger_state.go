package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/replay"
)

func (c *cli) ledgerStateCommand() *cobra.Command {
	var at string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "state agent|organization|credential|delegation ID",
		Short: "Tell what was so at a moment, and by which events",
		Long: `Tell what was so at a moment, and by which events. Of an agent also what it
could do: its organization, its credentials, the delegations to and from it, and
whether it could get tokens.

Exit code 0: told. 1: there was no such thing then. 2: it could not be looked at.`,
		Example: `  agentidp ledger state agent 019a3f5e-7c1a-7b52-9d3e-2f6a1c0b8d41 --at 2026-11-23T07:21:00Z
  agentidp ledger state agent 019a3f5e-7c1a-7b52-9d3e-2f6a1c0b8d41 --at 4711 --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usageError{errors.New("ledger state needs a kind and an id")}
			}
			if len(args) > 2 {
				return usageError{fmt.Errorf("ledger state takes a kind and an id: %q is too much", args[2])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, err := replay.ParseThingKind(args[0])
			if err != nil {
				return usageError{err}
			}
			id, err := uuid.Parse(args[1])
			if err != nil {
				return usageError{errors.New("the id must be a UUID")}
			}
			moment, err := replay.ParseMoment(at)
			if err != nil {
				return err
			}
			return c.ledgerState(cmd.Context(), kind, id, moment, func(h *replay.History, state any) error {
				if asJSON {
					return printJSON(cmd.OutOrStdout(), state)
				}
				return printState(cmd.OutOrStdout(), state, namesIn(cmd.Context(), h))
			})
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "a time (RFC 3339; without fractions, the whole millisecond that it names) or the position of an event; now when left out")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (c *cli) ledgerState(ctx context.Context, kind replay.ThingKind, id uuid.UUID, m replay.Moment, print func(*replay.History, any) error) error {
	ledger, _, err := c.openLedger(ctx, "")
	if err != nil {
		return err
	}
	defer ledger.Close()
	history := replay.NewHistory(ledger.Store, ledger.Queries(), time.Now)
	var state any
	if kind == replay.AgentThing {
		state, err = history.Agent(ctx, domain.Caller{Scopes: domain.AllScopes()}, domain.AgentID{UUID: id}, m)
	} else {
		state, err = history.Of(ctx, kind, id, m)
	}
	var refusal *domain.Error
	switch {
	case errors.As(err, &refusal) && refusal.Code == domain.CodeValidation:
		return usageError{errors.New(refusal.Message)}
	case errors.As(err, &refusal):
		return absentError{refusal.Message}
	case err != nil:
		return uncheckedError{err}
	}
	return print(history, state)
}

// namesIn is what agents are called: by e-mail. Each is looked up once, and one
// that cannot be found goes by its id.
func namesIn(ctx context.Context, h *replay.History) func(agent string) string {
	known := map[string]string{}
	return func(agent string) string {
		name, is := known[agent]
		if id, err := uuid.Parse(agent); !is && err == nil {
			name, _ = h.Email(ctx, domain.AgentID{UUID: id})
			known[agent] = name
		}
		return name
	}
}
