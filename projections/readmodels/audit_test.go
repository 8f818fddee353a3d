package readmodels_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

func TestCursorStaysRightWhileEventsArrive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	progress := w.follow(t)
	organization, other, agent := newOrganizationID(), newOrganizationID(), newAgentID()
	const total = 95
	for range total {
		record(t, w.store, newStream(), organization, issued(agent, newCredentialID()))
		record(t, w.store, newStream(), other, issued(newAgentID(), newCredentialID()))
	}
	head, err := w.store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	waitAll(t, progress, head)

	arriving := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		d := draft(t, organization, time.Now(), issued(agent, newCredentialID()))
		for {
			select {
			case <-arriving:
				return
			default:
			}
			d.ID = uuid.Must(uuid.NewV7())
			if _, err := w.store.Append(t.Context(), "arriving", eventstore.Any(), d); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	tenant := readmodels.InOrganization(organization)
	filter := readmodels.AuditFilter{AgentID: agent, Action: "token.issued", Page: readmodels.Page{Limit: 10}}
	var seen []eventstore.Position
	for {
		page, err := w.queries.AuditEvents(t.Context(), tenant, filter)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Items {
			seen = append(seen, e.Position)
		}
		if page.NextCursor == "" {
			break
		}
		filter.Cursor = page.NextCursor
	}
	close(arriving)
	<-done

	old := 0
	for i, position := range seen {
		if i > 0 && position >= seen[i-1] {
			t.Fatalf("position %d comes after %d", position, seen[i-1])
		}
		if position <= head {
			old++
		}
	}
	if old != total {
		t.Errorf("%d events of before the first page were listed, want %d", old, total)
	}
}

func TestCursorsAreValidated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	encode := base64.RawURLEncoding.EncodeToString
	for name, cursor := range map[string]string{
		"not base64":       "!!!",
		"empty inside":     "=",
		"too short":        encode([]byte{1, 0, 0}),
		"too long":         encode(append([]byte{1}, make([]byte, 9)...)),
		"another version":  encode([]byte{2, 0, 0, 0, 0, 0, 0, 0, 9}),
		"position 0":       encode([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0}),
		"beyond positions": encode([]byte{1, 0xff, 0, 0, 0, 0, 0, 0, 0}),
		"another alphabet": strings.ReplaceAll(encode([]byte{1, 0, 0, 0, 0, 0, 0, 0x3f, 0xff}), "_", "/"),
	} {
		_, err := w.queries.AuditEvents(t.Context(), readmodels.AllOrganizations, readmodels.AuditFilter{Cursor: cursor})
		if !errors.Is(err, readmodels.ErrBadCursor) {
			t.Errorf("%s (%q): %v, want ErrBadCursor", name, cursor, err)
		}
	}
}

func TestAuditTrailTellsWhatHappened(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	progress := w.follow(t)
	organization, agent, credential := newOrganizationID(), newAgentID(), newCredentialID()
	stream := domain.AgentStream(agent)
	record(t, w.store, domain.SeatsStream(organization), organization, domain.SeatTaken{OrganizationID: organization, AgentID: agent})
	record(t, w.store, stream, organization, created(agent, organization))
	generated := draft(t, organization, time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC), domain.CredentialGenerated{
		AgentID: agent, CredentialID: credential, Kind: domain.SecretCredential,
		Verifier: &domain.Verifier{KeyID: "key-of-the-verifier", MAC: []byte("mac")},
	})
	appended, err := w.store.Append(t.Context(), stream, eventstore.Exactly(0), generated)
	if err != nil {
		t.Fatal(err)
	}
	record(t, w.store, domain.SecurityStream("2026-03-01"), organization, domain.AuthFailed{ClientID: agent.String(), Reason: domain.AuthWrongSecret})
	last := record(t, w.store, domain.SecurityStream("2026-03-01"), domain.OrganizationID{}, domain.AuthFailed{ClientID: "nobody", Reason: domain.AuthUnknownClient})
	waitAll(t, progress, last)

	tenant := readmodels.InOrganization(organization)
	got, err := w.queries.AuditEvent(t.Context(), tenant, generated.ID)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(got.Metadata), "erifier") || !strings.Contains(string(got.Metadata), credential.String()) {
		t.Errorf("metadata is %s, want the event's without the verifier", got.Metadata)
	}
	if eventstore.HashOf(got.Record) != got.Hash {
		t.Errorf("record %s does not hash to %s", got.Record, got.Hash)
	}
	got.Metadata, got.Record = nil, nil
	first := eventstore.HashOf(nil)
	for e, err := range w.store.ReadStream(t.Context(), stream, 0, eventstore.Forwards) {
		if err != nil {
			t.Fatal(err)
		}
		first = e.Hash
		break
	}
	if diff := cmp.Diff(readmodels.AuditEvent{
		EventID: generated.ID, Timestamp: generated.Time, Action: "credential.generated", Outcome: domain.AuditSuccess,
		AgentID: agent, OrganizationID: organization, Actor: generated.Actor, Request: generated.Request,
		Stream: stream, Revision: 1, Position: appended.Position(), PreviousHash: first, Hash: appended.Hash,
	}, got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}

	actions := func(tenant readmodels.Tenant, f readmodels.AuditFilter) string {
		list, err := w.queries.AuditEvents(t.Context(), tenant, f)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range list.Items {
			names = append(names, string(e.Action)+"/"+string(e.Outcome))
		}
		if list.Total != len(names) {
			t.Errorf("%+v: total %d of %d", f, list.Total, len(names))
		}
		return strings.Join(names, " ")
	}
	const all = "auth.failed/failure credential.generated/success agent.created/success"
	march := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		tenant readmodels.Tenant
		filter readmodels.AuditFilter
		want   string
	}{
		{tenant, readmodels.AuditFilter{}, all},
		{tenant, readmodels.AuditFilter{AgentID: agent}, all},
		{tenant, readmodels.AuditFilter{AgentID: newAgentID()}, ""},
		{tenant, readmodels.AuditFilter{Action: "agent.created"}, "agent.created/success"},
		{tenant, readmodels.AuditFilter{Outcome: domain.AuditFailure}, "auth.failed/failure"},
		{tenant, readmodels.AuditFilter{From: march, To: march.AddDate(0, 0, 1)}, "credential.generated/success"},
		{tenant, readmodels.AuditFilter{NotBefore: time.Now().Add(-time.Hour)}, "auth.failed/failure agent.created/success"},
		{readmodels.AllOrganizations, readmodels.AuditFilter{}, "auth.failed/failure " + all},
		{readmodels.AllOrganizations, readmodels.AuditFilter{Action: "agent.created"}, "agent.created/success"},
	} {
		if got := actions(c.tenant, c.filter); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.filter, got, c.want)
		}
	}
}

func TestAgentsAreListedNewestFirstAndFiltered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	progress := w.follow(t)
	organization := newOrganizationID()
	var ids []domain.AgentID
	var last eventstore.Position
	for i := range 5 {
		id := newAgentID()
		c := created(id, organization)
		if i%2 == 1 {
			c.Owner, c.AgentType = "others", domain.AgentRouter
		}
		facts := []domain.Event{c}
		if i == 4 {
			facts = append(facts, domain.AgentSuspended{AgentID: id})
		}
		last = record(t, w.store, domain.AgentStream(id), organization, facts...)
		ids = append(ids, id)
	}
	waitAll(t, progress, last)
	for _, c := range []struct {
		filter readmodels.AgentFilter
		want   []int
		total  int
	}{
		{readmodels.AgentFilter{}, []int{4, 3, 2, 1, 0}, 5},
		{readmodels.AgentFilter{Page: readmodels.Page{Number: 2, Limit: 2}}, []int{2, 1}, 5},
		{readmodels.AgentFilter{Page: readmodels.Page{Number: 9, Limit: 2}}, nil, 5},
		{readmodels.AgentFilter{Owner: "others"}, []int{3, 1}, 2},
		{readmodels.AgentFilter{AgentType: domain.AgentMonitor, Status: domain.AgentActive}, []int{2, 0}, 2},
		{readmodels.AgentFilter{Status: domain.AgentIsSuspended}, []int{4}, 1},
	} {
		got, err := w.queries.Agents(t.Context(), readmodels.InOrganization(organization), c.filter)
		if err != nil {
			t.Fatal(err)
		}
		var which []int
		for _, a := range got.Items {
			for i, id := range ids {
				if a.ID == id {
					which = append(which, i)
				}
			}
		}
		if diff := cmp.Diff(c.want, which); diff != "" || got.Total != c.total {
			t.Errorf("%+v: total %d, want %d (-want +got):\n%s", c.filter, got.Total, c.total, diff)
		}
	}
}
