package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/replay/history"
)

const (
	// timeLayout shows times as finely as the ledger keeps them.
	timeLayout = "2006-01-02T15:04:05.000000Z07:00"
	// textWidth is how wide a terminal is taken to be.
	textWidth = 100
)

// printState writes a state for a person to read: the answer first, then what it
// rests on, by the events that made it so. name is what an agent is called, "" where
// that is not known.
func printState(w io.Writer, state any, name func(agent string) string) error {
	p := &statePrinter{name: name}
	switch s := state.(type) {
	case history.AgentState:
		p.moment(s.At)
		p.conclusion(s)
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
			p.line("")
			p.line("%d older delegations are not shown", more)
		}
	case history.State:
		p.moment(s.At)
		p.thing(s.Subject, "")
		for _, part := range s.Parts {
			p.thing(part, "")
		}
	}
	_, err := io.WriteString(w, p.text.String())
	return err
}

type statePrinter struct {
	text strings.Builder
	name func(agent string) string
}

func (p *statePrinter) line(format string, args ...any) {
	fmt.Fprintf(&p.text, format+"\n", args...)
}

func (p *statePrinter) moment(at history.At) {
	upTo := ""
	if at.Position > 0 {
		upTo = fmt.Sprintf(", with the ledger up to position %d", at.Position)
	}
	p.line("As it was at %s%s", at.Time.Format(timeLayout), upTo)
}

func (p *statePrinter) conclusion(s history.AgentState) {
	p.line("")
	if s.Tokens.Possible {
		p.value("It could get tokens, with the scopes: ", fmt.Sprint(s.Tokens.Scopes))
	} else {
		p.line("It could not get tokens")
		p.reasons(s.Tokens.Reasons)
	}
	for _, l := range s.Tokens.Lent {
		p.line("  and until %s, by delegation %s", l.Until.Format(timeLayout), l.ChainID)
		p.value("    from "+l.Email+", with the scopes: ", fmt.Sprint(l.Scopes))
	}
	if s.Role != nil {
		p.line("It was %s of its organization", s.Role.Value)
		p.event("  ", s.Role.Event)
	}
}

// thing tells the facts about one thing below the events that made them so, in the
// order of the ledger.
func (p *statePrinter) thing(t history.Thing, more string) {
	p.line("")
	p.line("%s %s%s", t.Kind, t.ID, more)
	facts, width := slices.Clone(t.Facts), 0
	for _, f := range facts {
		width = max(width, len(f.Name))
	}
	slices.SortStableFunc(facts, func(a, b history.Fact) int { return int(a.Event.Revision - b.Event.Revision) })
	for i, f := range facts {
		if i == 0 || f.Event.EventID != facts[i-1].Event.EventID {
			p.event("  ", f.Event)
		}
		p.value(fmt.Sprintf("    %-*s  ", width, f.Name), shown(f.Value))
	}
}

func (p *statePrinter) reasons(reasons []history.Reason) {
	for _, r := range reasons {
		p.value("  because ", r.Message)
		p.event("    ", r.Event)
	}
}

func (p *statePrinter) event(indent string, e history.EventRef) {
	what := e.Type
	if e.Position > 0 {
		what += fmt.Sprintf(", position %d", e.Position)
	}
	what += ", " + e.Time.Format(timeLayout)
	p.value(indent, what+", by "+p.actor(e.Actor))
}

func (p *statePrinter) actor(a eventstore.Actor) string {
	if a.Kind == "agent" {
		if name := p.name(a.ID); name != "" {
			return name
		}
	}
	return a.Kind + " " + a.ID
}

// value writes what may be longer than a line behind a label, whole: it goes on
// below where it began, after a blank or a comma where there is one.
func (p *statePrinter) value(label, value string) {
	room := max(textWidth-utf8.RuneCountInString(label), textWidth/2)
	for rest := []rune(value); ; {
		if len(rest) <= room {
			p.line("%s%s", label, string(rest))
			return
		}
		end := room
		for i := room; i > room/2; i-- {
			if rest[i-1] == ' ' || rest[i-1] == ',' {
				end = i
				break
			}
		}
		p.line("%s%s", label, strings.TrimRight(string(rest[:end]), " "))
		rest, label = rest[end:], strings.Repeat(" ", utf8.RuneCountInString(label))
	}
}

// shown is a value on one line.
func shown(value any) string {
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
	return strings.Trim(string(text), `"`)
}

func yes(is bool, then, otherwise string) string {
	if is {
		return then
	}
	return otherwise
}
