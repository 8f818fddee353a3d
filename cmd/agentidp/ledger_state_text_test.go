package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/replay/history"
)

// The answer comes first, an event is named once, its actor by name, nothing is cut
// and nothing is wider than a terminal.
func TestStateIsWrittenForPeople(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 7, 21, 0, 0, time.UTC)
	operator := uuid.New()
	event := func(revision int64, kind string, actor eventstore.Actor) history.EventRef {
		return history.EventRef{EventID: uuid.New(), Type: kind, Time: at, Position: eventstore.Position(revision + 20), Revision: revision, Actor: actor}
	}
	created := event(0, "agent.created", eventstore.Actor{Kind: "agent", ID: operator.String()})
	updated := event(3, "agent.updated", eventstore.Actor{Kind: "system", ID: "agentidp"})
	agent := history.Thing{Kind: history.AgentThing, ID: uuid.New(), Facts: history.Facts{
		{Name: "email", Value: "b@acme.test", Event: created},
		{Name: "description", Value: strings.Repeat("many words ", 30) + "the end", Event: updated},
		{Name: "metadata", Value: strings.Repeat("x", 250), Event: created},
		{Name: "status", Value: "active", Event: created},
	}}
	var text strings.Builder
	err := printState(&text, history.AgentState{
		At: history.At{Time: at, Position: 25}, Agent: agent,
		Organization: history.Thing{Kind: history.OrganizationThing, ID: uuid.New()},
		Tokens:       history.Tokens{Possible: true, Scopes: domain.AllScopes()},
	}, func(agent string) string {
		if agent == operator.String() {
			return "operator@acme.test"
		}
		return ""
	})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(text.String(), "\n")
	for _, line := range lines {
		if utf8.RuneCountInString(line) > textWidth || strings.HasSuffix(line, " ") {
			t.Errorf("a line of %d: %q", utf8.RuneCountInString(line), line)
		}
	}
	if lines[0] != "As it was at 2026-11-23T07:21:00.000000Z, with the ledger up to position 25" || !strings.HasPrefix(lines[2], "It could get tokens") {
		t.Errorf("the answer does not come first:\n%s", text.String())
	}
	const group = "\n  agent.created, position 20, 2026-11-23T07:21:00.000000Z, by operator@acme.test\n    email        b@acme.test\n    metadata     xxx"
	if !strings.Contains(text.String(), group) || strings.Count(text.String(), "agent.created") != 1 ||
		!strings.Contains(text.String(), "\n  agent.updated, position 23, 2026-11-23T07:21:00.000000Z, by system agentidp\n    description  many words") {
		t.Errorf("facts are not below the event that made them so:\n%s", text.String())
	}
	if strings.Count(text.String(), "many words") < 25 || strings.Count(text.String(), "x") < 250 || !strings.Contains(text.String(), "the end") {
		t.Errorf("something is cut:\n%s", text.String())
	}
}
