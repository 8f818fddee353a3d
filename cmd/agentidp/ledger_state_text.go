package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sentryagent/agentidp/replay"
)

// timeLayout shows times as finely as the ledger keeps them.
const timeLayout = "2006-01-02T15:04:05.000000Z07:00"

// printState writes a state for a person to read.
func printState(w io.Writer, state any) error {
	p := statePrinter{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	switch s := state.(type) {
	case replay.AgentState:
		p.moment(s.At)
		p.thing(s.Agent, "")
		p.thing(s.Organization, "")
		for _, c := range s.Credentials {
			p.thing(c.Thing, yes(c.Usable, ", usable", ", not usable"))
		}
		for _, d := range s.Delegations {
			p.thing(d.Thing, ", as "+string(d.Role)+yes(d.Alive, ", alive", ", not alive"))
			p.reasons(d.Reasons)
		}
		if more := s.DelegationsTotal - len(s.Delegations); more > 0 {
			fmt.Fprintf(p, "\n%d older delegations are not shown\n", more)
		}
		p.conclusion(s)
	case replay.State:
		p.moment(s.At)
		p.thing(s.Subject, "")
		for _, part := range s.Parts {
			p.thing(part, "")
		}
	}
	return p.Flush()
}

type statePrinter struct{ *tabwriter.Writer }

func (p statePrinter) moment(at replay.At) {
	fmt.Fprintf(p, "As it was at %s", at.Time.Format(timeLayout))
	if at.Position > 0 {
		fmt.Fprintf(p, ", with the ledger up to position %d", at.Position)
	}
	fmt.Fprintln(p)
}

func (p statePrinter) thing(t replay.Thing, more string) {
	fmt.Fprintf(p, "\n%s %s%s\n", t.Kind, t.ID, more)
	for _, f := range t.Facts {
		fmt.Fprintf(p, "  %s\t%s\t%s\n", f.Name, shown(f.Value), by(f.Event))
	}
}

func (p statePrinter) reasons(reasons []replay.Reason) {
	for _, r := range reasons {
		fmt.Fprintf(p, "  because %s\t\t%s\n", r.Message, by(r.Event))
	}
}

func (p statePrinter) conclusion(s replay.AgentState) {
	fmt.Fprintln(p)
	if s.Role != nil {
		fmt.Fprintf(p, "It was %s of its organization\t\t%s\n", s.Role.Value, by(s.Role.Event))
	}
	if !s.Tokens.Possible {
		fmt.Fprintln(p, "It could not get tokens")
		p.reasons(s.Tokens.Reasons)
		return
	}
	fmt.Fprintf(p, "It could get tokens, with the scopes: %s\n", s.Tokens.Scopes)
	for _, l := range s.Tokens.Lent {
		fmt.Fprintf(p, "  and, by delegation %s from %s (agent %s) until %s, with the scopes: %s\n",
			l.ChainID, l.Email, l.From, l.Until.Format(timeLayout), l.Scopes)
	}
}

func by(e replay.EventRef) string {
	return fmt.Sprintf("%s, position %d, %s, by %s %s", e.Type, e.Position, e.Time.Format(timeLayout), e.Actor.Kind, e.Actor.ID)
}

// shown is a value on one line.
func shown(value any) string {
	const most = 60
	switch v := value.(type) {
	case nil:
		return "-"
	case time.Time:
		return v.Format(timeLayout)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	line := strings.Trim(string(text), `"`)
	if runes := []rune(line); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return line
}

func yes(is bool, then, otherwise string) string {
	if is {
		return then
	}
	return otherwise
}
