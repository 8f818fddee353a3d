package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/command"
	"github.com/sentryagent/agentidp/replay/history"
)

func (c *cli) ledgerStateCommand() *cobra.Command {
	var o stateOptions
	cmd := &cobra.Command{
		Use:   "state agent|organization|credential|delegation ID",
		Short: "Tell what was so at a moment, and by which events",
		Long: `Tell what was so at a moment, and by which events. Of an agent also what it
could do: its organization, its credentials, the delegations to and from it, and
whether it could get tokens.

With --bundle it is told from an export, without database and configuration. The
bundle is proven first, as "agentidp ledger verify" proves it, with the same
--key, --against and --unsigned-tail; of one that is broken or not proven nothing
is told. A bundle tells up to its newest event, and that of an organization tells
no positions.

Exit code 0: told. 1: there was no such thing then, or the bundle is broken. 2: it
could not be looked at, or the bundle is not proven.`,
		Example: `  agentidp ledger state agent 019a3f5e-7c1a-7b52-9d3e-2f6a1c0b8d41 --at 2026-11-23T07:21:00Z
  agentidp ledger state agent 019a3f5e-7c1a-7b52-9d3e-2f6a1c0b8d41 --at 4711 --json
  agentidp ledger state agent 019a3f5e-7c1a-7b52-9d3e-2f6a1c0b8d41 --bundle ledger.bundle --key ledger.key`,
		Args: func(_ *cobra.Command, args []string) error { return o.check(args) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.bundle != "" {
				return bundleState(cmd, o)
			}
			return c.ledgerState(cmd, o)
		},
	}
	cmd.Flags().StringVar(&o.at, "at", "", "a time (RFC 3339; without fractions, the whole millisecond that it names) or the position of an event; now, or the newest event of a bundle, when left out")
	cmd.Flags().StringVar(&o.bundle, "bundle", "", "a bundle of \"agentidp ledger export\", a `file` or -, instead of the database")
	cmd.Flags().StringVar(&o.proof.key, "key", "", "with --bundle: the pinned `key` to verify it with, or a file with it")
	cmd.Flags().StringArrayVar(&o.proof.against, "against", nil, "with --bundle: a `file` with a checkpoint that was kept; may be repeated")
	cmd.Flags().BoolVar(&o.proof.unsignedTail, "unsigned-tail", false, "with --bundle: take one whose newest events are not signed for proven")
	cmd.Flags().BoolVar(&o.proof.json, "json", false, "print JSON")
	return cmd
}

type stateOptions struct {
	at     string
	bundle string
	proof  verifyOptions // of the bundle

	kind   history.ThingKind
	id     uuid.UUID
	moment history.Moment
}

func (o *stateOptions) check(args []string) (err error) {
	switch {
	case len(args) < 2:
		return command.Usage(errors.New("ledger state needs a kind and an id"))
	case len(args) > 2:
		return command.Usage(fmt.Errorf("ledger state takes a kind and an id: %q is too much", args[2]))
	case o.bundle == "" && (o.proof.key != "" || len(o.proof.against) > 0 || o.proof.unsignedTail):
		return command.Usage(errors.New("--key, --against and --unsigned-tail go with --bundle"))
	}
	if o.kind, err = history.ParseThingKind(args[0]); err != nil {
		return command.Usage(err)
	}
	if o.id, err = uuid.Parse(args[1]); err != nil {
		return command.Usage(errors.New("the id must be a UUID"))
	}
	if o.moment, err = history.ParseMoment(o.at); err != nil || o.bundle == "" {
		return answered(err)
	}
	return o.proof.check([]string{o.bundle})
}

func (c *cli) ledgerState(cmd *cobra.Command, o stateOptions) error {
	ctx := cmd.Context()
	ledger, _, err := c.openLedger(ctx, "")
	if err != nil {
		return err
	}
	defer ledger.Close()
	past := history.New(ledger.Store, ledger.Queries(), time.Now)
	state, err := stateIn(ctx, past, o)
	switch {
	case err != nil:
		return err
	case o.proof.json:
		return printJSON(cmd.OutOrStdout(), state)
	}
	return printState(cmd.OutOrStdout(), state, namesIn(ctx, past))
}

// bundleState tells what was so by a bundle, if that is proven.
func bundleState(cmd *cobra.Command, o stateOptions) error {
	ctx := cmd.Context()
	file, done, err := openSeekable(cmd.InOrStdin(), o.bundle)
	if err != nil {
		return command.Unchecked(err)
	}
	defer done()
	bundle, err := openBundle(cmd, o.proof, o.bundle, file)
	if err != nil {
		return err
	}
	past, report, err := bundle.History(ctx, bundle.options)
	bundle.bar.done()
	if err != nil {
		return bundle.unchecked(err)
	}
	if bundle.shown.fill(report, bundle.against); !bundle.shown.Verified {
		return tell(cmd.OutOrStdout(), bundle.shown, report, bundle.against, o.proof.json)
	}
	state, err := stateIn(ctx, past, o)
	var absent absentError
	switch tenant := bundle.Manifest.Organization; {
	case errors.As(err, &absent) && tenant != nil:
		return absentError{fmt.Sprintf("%s; the bundle has only what organization %s has", absent.message, tenant)}
	case err != nil:
		return err
	case o.proof.json:
		return printJSON(cmd.OutOrStdout(), provenState(state, bundle.shown))
	}
	if err := printState(cmd.OutOrStdout(), state, namesIn(ctx, past)); err != nil {
		return err
	}
	_, err = io.WriteString(cmd.OutOrStdout(), "\n"+bundle.shown.text())
	return err
}

// provenState is a state with what proves it.
func provenState(state any, by shownReport) any {
	switch s := state.(type) {
	case history.AgentState:
		return struct {
			history.AgentState
			Bundle shownReport `json:"bundle"`
		}{s, by}
	case history.State:
		return struct {
			history.State
			Bundle shownReport `json:"bundle"`
		}{s, by}
	}
	return state
}

// stateIn is what a history tells: a [history.AgentState] or a [history.State].
func stateIn(ctx context.Context, past *history.History, o stateOptions) (state any, err error) {
	if o.kind == history.AgentThing {
		state, err = past.Agent(ctx, domain.Caller{Scopes: domain.AllScopes()}, domain.AgentID{UUID: o.id}, o.moment)
	} else {
		state, err = past.Of(ctx, o.kind, o.id, o.moment)
	}
	var refusal *domain.Error
	switch {
	case errors.As(err, &refusal) && refusal.Code == domain.CodeValidation:
		return nil, command.Usage(errors.New(refusal.Message))
	case errors.As(err, &refusal):
		return nil, absentError{refusal.Message}
	case err != nil:
		return nil, command.Unchecked(err)
	}
	return state, nil
}

// namesIn is what agents are called: by e-mail. Each is looked up once, and one
// that cannot be found goes by its id.
func namesIn(ctx context.Context, h *history.History) func(agent string) string {
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
