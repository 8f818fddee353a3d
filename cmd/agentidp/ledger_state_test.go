package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestLedgerStateTellsWhatWasSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent := w.operator.ClientID

	text := runToEnd(t, w.settings, "ledger", "state", "agent", agent)
	for _, want := range []string{"agent " + agent, "organization " + w.operator.OrganizationID, "agent.created, position ", "It could get tokens, with the scopes: admin:orgs"} {
		if text.code != exitOK || !strings.Contains(text.stdout, want) {
			t.Errorf("code %d, want %q in\n%s%s", text.code, want, text.stdout, text.stderr)
		}
	}
	told := runToEnd(t, w.settings, "ledger", "state", "agent", agent, "--json")
	var state struct {
		Agent struct {
			Facts map[string]struct {
				Value any
				Event struct {
					Type, Hash string
					Position   int
				}
			}
		}
		Credentials []struct{ ID uuid.UUID }
		Tokens      struct{ Possible bool }
	}
	if err := json.Unmarshal([]byte(told.stdout), &state); err != nil || told.code != exitOK {
		t.Fatalf("code %d, %v:\n%s%s", told.code, err, told.stdout, told.stderr)
	}
	status := state.Agent.Facts["status"]
	if status.Value != "active" || status.Event.Type != "agent.created" || len(status.Event.Hash) != 64 || !state.Tokens.Possible || len(state.Credentials) != 1 {
		t.Errorf("got %+v", state)
	}
	born := fmt.Sprint(status.Event.Position)
	without := runToEnd(t, w.settings, "ledger", "state", "agent", agent, "--at", born)
	if without.code != exitOK || !strings.Contains(without.stdout, "because the agent had no credential") {
		t.Errorf("at its birth: code %d\n%s%s", without.code, without.stdout, without.stderr)
	}
	other := w.serve(t).tenant(t, w)
	for kind, id := range map[string]string{"organization": other.organization, "credential": other.credential, "agent": other.agent} {
		r := runToEnd(t, w.settings, "ledger", "state", kind, id)
		if r.code != exitOK || !strings.Contains(r.stdout, "\n"+kind+" "+id) {
			t.Errorf("%s: code %d\n%s%s", kind, r.code, r.stdout, r.stderr)
		}
	}
}

func TestLedgerStateExitCodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent := w.operator.ClientID
	for name, test := range map[string]struct {
		settings []string
		args     []string
		code     int
		says     string
	}{
		"no such agent":      {w.settings, []string{"agent", uuid.NewString()}, exitFailed, "there is no such agent"},
		"too early":          {w.settings, []string{"agent", agent, "--at", "1"}, exitFailed, "it was created at"},
		"no such delegation": {w.settings, []string{"delegation", uuid.NewString()}, exitFailed, "there is no such delegation"},
		"no such kind":       {w.settings, []string{"webhook", agent}, exitBadUsage, "none of agent"},
		"no id":              {w.settings, []string{"agent"}, exitBadUsage, "needs a kind and an id"},
		"no UUID":            {w.settings, []string{"agent", "7"}, exitBadUsage, "UUID"},
		"no moment":          {w.settings, []string{"agent", agent, "--at", "noon"}, exitBadUsage, "at must be"},
		"no such position":   {w.settings, []string{"agent", agent, "--at", "100000"}, exitBadUsage, "position of no event"},
		"no database": {slices.Concat(w.settings[1:], []string{"DATABASE_URL=postgres://a:b@127.0.0.1:1/x"}), []string{"agent", agent},
			exitBadUsage, "cannot be reached"},
	} {
		r := runToEnd(t, test.settings, append([]string{"ledger", "state"}, test.args...)...)
		if r.code != test.code || !strings.Contains(r.stderr, test.says) || r.stdout != "" {
			t.Errorf("%s: code %d, want %d and %q\n%s%s", name, r.code, test.code, test.says, r.stdout, r.stderr)
		}
	}
}
