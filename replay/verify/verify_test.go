package verify_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/postgres"
	"github.com/sentryagent/agentidp/eventstore/storetest"
	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/replay/replaytest"
	"github.com/sentryagent/agentidp/replay/verify"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// vault is a ledger of two tenants that somebody with all rights can get at.
type vault struct {
	store     *postgres.Store
	superuser *pgxpool.Pool
	events    []eventstore.Event
}

func newVault(t *testing.T) *vault {
	t.Helper()
	database := pgtest.New(t, pgtest.Migrated)
	store := postgres.New(t.Context(), pgtest.Pool(t, database.ServerURL), postgres.Options{})
	t.Cleanup(store.Close)
	v := &vault{store: store, superuser: pgtest.Pool(t, database.SuperuserURL)}
	start := time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)
	for i := range 60 {
		tenant := []domain.OrganizationID{replaytest.Ours, replaytest.Theirs}[i%2]
		draft := storetest.NewDraft("agent.updated")
		draft.Organization, draft.Time = tenant.UUID, start.Add(time.Duration(i)*time.Hour)
		draft.Data = json.RawMessage(fmt.Sprintf(`{"number":%d}`, i))
		stream := fmt.Sprintf("agent-%d", i%6)
		if i%10 == 9 {
			stream = "security-2026-11-01" // shared by the tenants
		}
		if _, err := store.Append(t.Context(), stream, eventstore.Any(), draft); err != nil {
			t.Fatal(err)
		}
	}
	v.events = storetest.All(t, store)
	if _, err := v.superuser.Exec(t.Context(), `ALTER TABLE events DISABLE TRIGGER ALL`); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *vault) verify(t *testing.T, scope verify.Scope) verify.Report {
	t.Helper()
	report, err := verify.New(v.store, verify.Options{}).Verify(t.Context(), scope)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestAnIntactLedgerVerifies(t *testing.T) {
	v := newVault(t)
	for name, test := range map[string]struct {
		scope verify.Scope
		want  int64
	}{
		"the whole ledger":     {verify.Scope{}, 60},
		"one tenant":           {verify.Scope{Organization: replaytest.Ours}, 30},
		"another tenant":       {verify.Scope{Organization: replaytest.Theirs}, 30},
		"a time":               {verify.Scope{From: v.events[20].RecordedAt, To: v.events[39].RecordedAt}, 20},
		"a tenant's time":      {verify.Scope{Organization: replaytest.Ours, From: v.events[20].RecordedAt}, 20},
		"a tenant without any": {verify.Scope{Organization: domain.OrganizationID{UUID: uuid.New()}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if report := v.verify(t, test.scope); report.Break != nil || report.Checked != test.want {
				t.Errorf("checked %d, break %v; want %d and none", report.Checked, report.Break, test.want)
			}
		})
	}
}

func TestWhatWasDoneToTheLedgerIsFound(t *testing.T) {
	for name, test := range map[string]struct {
		harm string // $1 is the position of the victim
		kind verify.Kind
		says eventstore.BreakKind
	}{
		"a byte changed":        {`UPDATE events SET record = set_byte(record, 100, get_byte(record, 100) # 1) WHERE position = $1`, verify.AlteredEvent, eventstore.BreakAltered},
		"record and hash":       {`UPDATE events SET record = r, hash = sha256(r) FROM (SELECT convert_to(replace(convert_from(record, 'UTF8'), '"number":', '"number":9'), 'UTF8') r FROM events WHERE position = $1) x WHERE position = $1`, verify.AlteredEvent, eventstore.BreakLink},
		"given to the others":   {`UPDATE events SET organization_id = '` + replaytest.Theirs.String() + `' WHERE position = $1`, verify.AlteredEvent, eventstore.BreakColumn},
		"dated back":            {`UPDATE events SET recorded_at = recorded_at - interval '1 hour' WHERE position = $1`, verify.AlteredEvent, eventstore.BreakColumn},
		"taken out":             {`DELETE FROM events WHERE position = $1`, verify.RemovedEvent, eventstore.BreakGap},
		"the newest taken away": {`DELETE FROM events WHERE position > 50 AND $1 > 0`, verify.TruncatedTail, eventstore.BreakGap},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVault(t)
			victim := v.events[24]
			if _, err := v.superuser.Exec(t.Context(), test.harm, int64(victim.Position)); err != nil {
				t.Fatal(err)
			}
			report := v.verify(t, verify.Scope{})
			if report.Break == nil || report.Break.Kind != test.kind || report.Break.Chain == nil || report.Break.Chain.Kind != test.says {
				t.Fatalf("found %v, want %s by %s", report.Break, test.kind, test.says)
			}
			if at := report.Break.Position; at < victim.Position {
				t.Errorf("found at position %d, before what was harmed at %d", at, victim.Position)
			}
		})
	}
}

func TestATenantLearnsOfItsOwnEventsOnly(t *testing.T) {
	v := newVault(t)
	victim := v.events[24] // an event of ours
	if _, err := v.superuser.Exec(t.Context(),
		`UPDATE events SET record = set_byte(record, 100, get_byte(record, 100) # 1) WHERE position = $1`, int64(victim.Position)); err != nil {
		t.Fatal(err)
	}
	if report := v.verify(t, verify.Scope{Organization: replaytest.Ours}); report.Break == nil || report.Break.EventID != victim.ID {
		t.Errorf("we find %v, want event %s", report.Break, victim.ID)
	}
	if report := v.verify(t, verify.Scope{Organization: replaytest.Theirs}); report.Break != nil {
		t.Errorf("they find %v in our events", report.Break)
	}
}
