package bundle_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/rounds"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay/bundle"
	"github.com/sentryagent/agentidp/replay/history"
	"github.com/sentryagent/agentidp/replay/replaytest"
	"github.com/sentryagent/agentidp/replay/verify"
)

// A bundle tells what the ledger tells that it is an export of, of all that is in it
// and at any moment; that of an organization does so by time alone.
func TestABundleTellsWhatTheLedgerTells(t *testing.T) {
	rounds.NoRace(t)
	t.Parallel()
	a := replaytest.NewArchive(t)
	live := history.New(a.Store, readmodels.NewQueries(a.Pool), time.Now)
	bundles := map[uuid.UUID]*history.History{transparency.Whole: historyOf(t, a, transparency.Whole)}
	last := a.Events[len(a.Events)-1]
	const every = 31
	asked := 0
	for i, e := range a.Events {
		kind := map[string]history.ThingKind{"organization.created": history.OrganizationThing, "agent.created": history.AgentThing}[e.Type]
		if kind == "" || i > 100 && i%every != 0 {
			continue
		}
		id := uuid.MustParse(e.Stream[len(kind)+1:])
		asked++
		if bundles[e.Organization] == nil {
			bundles[e.Organization] = historyOf(t, a, e.Organization)
		}
		whole, own := bundles[transparency.Whole], bundles[e.Organization]
		for _, m := range []history.Moment{{Time: e.RecordedAt}, {Time: e.RecordedAt.Add(-time.Microsecond)}, {Time: a.Events[7000].RecordedAt}} {
			want := told(t, live, kind, id, m)
			if got := told(t, whole, kind, id, m); got != want {
				t.Errorf("%s %s at %+v: the bundle tells\n%s\nthe ledger\n%s", kind, id, m, got, want)
			}
			if got, want := told(t, own, kind, id, m), unplaced(want); got != want {
				t.Errorf("%s %s at %+v: its organization's bundle tells\n%s\nthe ledger\n%s", kind, id, m, got, want)
			}
		}
		for _, m := range []history.Moment{{Position: e.Position}, {Position: 5000}, {Position: last.Position}, {Position: last.Position + 1}} {
			if got, want := told(t, whole, kind, id, m), told(t, live, kind, id, m); got != want {
				t.Errorf("%s %s at %+v: the bundle tells\n%s\nthe ledger\n%s", kind, id, m, got, want)
			}
		}
		if got, want := told(t, whole, kind, id, history.Moment{}), told(t, live, kind, id, history.Moment{Position: last.Position}); got != want {
			t.Errorf("%s %s: without a moment the bundle tells\n%s\nand of its newest event\n%s", kind, id, got, want)
		}
	}
	if asked < 10 {
		t.Errorf("asked of %d things", asked)
	}
	for log, past := range bundles {
		for _, m := range []history.Moment{{Time: last.RecordedAt.Add(time.Second)}, {Position: last.Position + 1}} {
			if _, err := past.Organization(t.Context(), domain.OrganizationID{UUID: log}, m); !errors.Is(err, &domain.Error{Code: domain.CodeValidation}) {
				t.Errorf("at %+v, after the end of bundle %s: %v", m, log, err)
			}
		}
	}
}

// historyOf exports a log and takes the history from the bundle.
func historyOf(t *testing.T, a *replaytest.Archive, log uuid.UUID) *history.History {
	t.Helper()
	var file bytes.Buffer
	exporter := bundle.Exporter{Store: a.Store, Logs: a.Logs, VerifierKey: replaytest.VerifierKey}
	if _, err := exporter.Export(t.Context(), &file, domain.OrganizationID{UUID: log}); err != nil {
		t.Fatal(err)
	}
	opened, err := bundle.Open(bytes.NewReader(file.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	past, report, err := opened.History(t.Context(), bundle.Options{VerifierKey: replaytest.VerifierKey(log)})
	if err != nil || report.Break != nil {
		t.Fatalf("%v, %s", err, replaytest.Describe(report.Break))
	}
	return past
}

// told is all that a history says of a thing, or why it says nothing.
func told(t *testing.T, h *history.History, kind history.ThingKind, id uuid.UUID, m history.Moment) string {
	t.Helper()
	var state any
	var err error
	if kind == history.AgentThing {
		state, err = h.Agent(t.Context(), domain.Caller{Scopes: domain.AllScopes()}, domain.AgentID{UUID: id}, m)
	} else {
		state, err = h.Of(t.Context(), kind, id, m)
	}
	if err != nil {
		return err.Error()
	}
	text, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var places = regexp.MustCompile(`, by the event at position \d+|("position":)\d+`)

// unplaced is an answer in which no position is known.
func unplaced(text string) string {
	return places.ReplaceAllStringFunc(text, func(found string) string {
		if found[0] == ',' {
			return ""
		}
		return `"position":0`
	})
}

// Of a bundle that is broken there is no history, and a member that changes after
// the proof is not believed.
func TestABrokenBundleHasNoHistory(t *testing.T) {
	rounds.NoRace(t)
	t.Parallel()
	a := replaytest.NewArchive(t)
	a.Exec(t, `UPDATE events SET record = set_byte(record, 400, get_byte(record, 400) # 1) WHERE position = 7`)
	var file bytes.Buffer
	exporter := bundle.Exporter{Store: a.Store, Logs: a.Logs, VerifierKey: replaytest.VerifierKey}
	if _, err := exporter.Export(t.Context(), &file, domain.OrganizationID{}); err != nil {
		t.Fatal(err)
	}
	content := file.Bytes()
	open := func() *bundle.Bundle {
		opened, err := bundle.Open(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		return opened
	}
	past, report, err := open().History(t.Context(), bundle.Options{VerifierKey: replaytest.VerifierKey(transparency.Whole)})
	if past != nil || err != nil || report.Break == nil || report.Break.Kind != verify.AlteredEvent {
		t.Errorf("a history of a broken bundle: %v, %v, %s", past, err, replaytest.Describe(report.Break))
	}

	a.Exec(t, `UPDATE events SET record = set_byte(record, 400, get_byte(record, 400) # 1) WHERE position = 7`)
	file.Reset()
	if _, err := exporter.Export(t.Context(), &file, domain.OrganizationID{}); err != nil {
		t.Fatal(err)
	}
	content = bytes.Clone(file.Bytes())
	past, report, err = open().History(t.Context(), bundle.Options{VerifierKey: replaytest.VerifierKey(transparency.Whole)})
	if err != nil || report.Break != nil {
		t.Fatalf("%v, %s", err, replaytest.Describe(report.Break))
	}
	for i := 1024; i < len(content); i += 4096 {
		content[i] ^= 1
	}
	for _, e := range a.Events[:100] {
		if e.Type != "agent.created" {
			continue
		}
		_, err := past.Agent(t.Context(), domain.Caller{Scopes: domain.AllScopes()}, domain.AgentID{UUID: uuid.MustParse(e.Stream[len("agent-"):])}, history.Moment{})
		if !errors.Is(err, bundle.ErrDamaged) {
			t.Errorf("from a file that has changed: %v", err)
		}
	}
}
