package system_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// issueMany appends issuances as a busy server would, and tells the last position.
func (w *world) issueMany(tb testing.TB, events int) (last eventstore.Position) {
	tb.Helper()
	store, organization := w.openStore(tb), uuid.Must(uuid.NewV7())
	const group = 500
	for n := 0; n < events; n += group {
		agent, credential := domain.AgentID{UUID: uuid.Must(uuid.NewV7())}, domain.CredentialID{UUID: uuid.New()}
		drafts := make([]eventstore.Draft, group)
		drafts[0] = recorded(tb, organization, agent, domain.CredentialGenerated{AgentID: agent, CredentialID: credential, Kind: domain.SecretCredential})
		for i := range drafts[1:] {
			drafts[1+i] = issuance(tb, organization, agent, credential)
		}
		appended, err := store.Append(tb.Context(), domain.AgentStream(agent), eventstore.NoStream(), drafts...)
		if err != nil {
			tb.Fatal(err)
		}
		last = appended.Position()
	}
	return last
}

func issuance(tb testing.TB, organization uuid.UUID, agent domain.AgentID, credential domain.CredentialID) eventstore.Draft {
	tb.Helper()
	return recorded(tb, organization, agent, domain.TokenIssued{
		AgentID: agent, TokenID: domain.TokenID{UUID: uuid.New()}, CredentialID: credential,
		AuthMethod: domain.SecretCredential, Scope: "agents:read", Audience: "http://agentidp.test", Algorithm: "ES256", KeyID: "k1",
		ExpiresAt: time.Now().Add(domain.TokenLifetime).UTC().Truncate(time.Second),
	})
}

func recorded(tb testing.TB, organization uuid.UUID, agent domain.AgentID, fact domain.Event) eventstore.Draft {
	tb.Helper()
	eventType, schema, data, err := domain.Encode(fact)
	if err != nil {
		tb.Fatal(err)
	}
	return eventstore.Draft{
		ID: uuid.Must(uuid.NewV7()), Type: string(eventType), Schema: schema, Organization: organization,
		Actor: eventstore.Actor{Kind: "agent", ID: agent.String()}, Time: time.Now(), Data: data,
	}
}

// auditRows is what the audit trail's tables hold, as a digest.
func auditRows(tb testing.TB, pool *pgxpool.Pool) (digest string) {
	tb.Helper()
	const rows = `SELECT (SELECT md5(string_agg(t::text, ',' ORDER BY position)) FROM audit_events t) ||
		(SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM audit_counts t)`
	if err := pool.QueryRow(tb.Context(), rows).Scan(&digest); err != nil {
		tb.Fatal(err)
	}
	return digest
}

func TestRebuildKilledTenTimesLeavesTheLiveRowsAndIsResumed(t *testing.T) {
	t.Parallel()
	const kills, step = 10, 4500
	w := newWorld(t)
	pool := w.superuser(t)
	last := w.issueMany(t, step*kills)
	if r := runToEnd(t, w.settings, "projections", "rebuild", "--all"); r.code != exitOK {
		t.Fatalf("the first rebuild: code %d\n%s", r.code, r.stderr)
	}
	live := auditRows(t, pool)
	for kill := range kills {
		at, held := int64(step*kill), "its checkpoint moves on"
		hold := func() (release func()) { return holdRebuild(t, pool, at) }
		if kill == kills-1 {
			held = "the tables are switched"
			hold = func() (release func()) { return holdTable(t, pool, "audit_events") }
		}
		release := hold()
		p := launch(t, w.settings, "projections", "rebuild", "audit")
		if kill == kills-1 {
			p.awaitOutput(t, &p.stderr, "waits for long reads")
		} else {
			waiting(t, pool, 1)
		}
		p.kill(t)
		release()
		if got := auditRows(t, pool); got != live {
			t.Fatalf("killed while %s, past %d: the live rows changed", held, at)
		}
	}
	r := runToEnd(t, w.settings, "projections", "rebuild", "audit", "--json")
	var result struct{ Projections []rebuiltModel }
	if err := json.Unmarshal([]byte(r.stdout), &result); err != nil || r.code != exitOK {
		t.Fatalf("the rebuild after that: code %d, %v\n%s%s", r.code, err, r.stdout, r.stderr)
	}
	if got := result.Projections[0]; got.ResumedFrom < last-step || got.Position < last {
		t.Errorf("the rebuild after that: %+v, want it resumed near the end and at %d", got, last)
	}
	if got := auditRows(t, pool); got != live {
		t.Error("the rebuilt rows are not those that were live")
	}
	if r := runToEnd(t, w.settings, "projections", "verify"); r.code != exitOK {
		t.Errorf("verify: code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// holdRebuild has rebuilds wait when their checkpoint is to go past a position.
func holdRebuild(tb testing.TB, pool *pgxpool.Pool, past int64) (release func()) {
	tb.Helper()
	const trigger = `
CREATE FUNCTION hold_rebuild() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(4712);
    RETURN NEW;
END
$$;
CREATE TRIGGER hold_rebuild BEFORE UPDATE ON projection_rebuilds FOR EACH ROW WHEN (NEW.position > %d) EXECUTE FUNCTION hold_rebuild()`
	end := hold(tb, pool, fmt.Sprintf(trigger, past), `SELECT pg_advisory_lock(4712)`)
	return func() {
		tb.Helper()
		end()
		if _, err := pool.Exec(tb.Context(), `DROP TRIGGER hold_rebuild ON projection_rebuilds; DROP FUNCTION hold_rebuild()`); err != nil {
			tb.Fatal(err)
		}
	}
}

// holdTable is a reader of a table that does not come to an end.
func holdTable(tb testing.TB, pool *pgxpool.Pool, table string) (release func()) {
	tb.Helper()
	return hold(tb, pool, `BEGIN; LOCK TABLE `+table+` IN ACCESS SHARE MODE`)
}

func TestProjectionsCommandsSayByTheirExitCodeHowThingsAre(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pool := w.superuser(t)
	expect := func(code int, said string, args ...string) string {
		t.Helper()
		r := runToEnd(t, w.settings, append([]string{"projections"}, args...)...)
		if r.code != code || !strings.Contains(r.stdout+r.stderr, said) {
			t.Errorf("projections %v: code %d, want %d and %q in:\n%s%s", args, r.code, code, said, r.stdout, r.stderr)
		}
		return r.stdout
	}
	tamper := func(sql string) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	expect(exitOK, "empty", "status")
	expect(exitOK, "agents: version 1 is live", "rebuild", "--all")
	expect(exitOK, "stopped: no server runs it", "status")
	expect(exitOK, "as the ledger says", "verify")
	expect(exitBadUsage, "--all", "rebuild")
	expect(exitBadUsage, "--all", "rebuild", "agents", "--all")
	expect(exitBadUsage, `no projection "agnets"`, "rebuild", "agnets")
	expect(exitBadUsage, `no projection "agnets"`, "verify", "agnets")
	expect(exitBadUsage, "argument", "status", "agents")

	tamper(`UPDATE agents SET owner = 'mallory'`)
	expect(exitFailed, "agents agent_id="+w.operator.ClientID+": changed in owner", "verify")
	expect(exitOK, "as the ledger says", "verify", "credentials")
	var report struct{ Projections []verifiedModel }
	if err := json.Unmarshal([]byte(expect(exitFailed, "changed", "verify", "agents", "--json")), &report); err != nil ||
		report.Projections[0].Different != 1 || report.Projections[0].Differences[0].Columns[0] != "owner" {
		t.Errorf("verify --json: %+v, %v; want the one row", report, err)
	}
	expect(exitOK, "readers waited", "rebuild", "agents")
	expect(exitOK, "as the ledger says", "verify", "agents")

	tamper(`UPDATE projection_checkpoints SET version = 99 WHERE name = 'agents'`)
	expect(exitBadUsage, "version 99", "verify", "agents")
	expect(exitFailed, "version 99", "rebuild", "agents")
	expect(exitOK, "99 (this build: 1)", "status")
	tamper(`UPDATE projection_checkpoints SET version = 1 WHERE name = 'agents'`)

	tamper(`UPDATE projection_checkpoints SET state = 'halted', error = 'it cannot be', failed_position = 7 WHERE name = 'audit'`)
	expect(exitFailed, "it cannot be", "status")
	appendUnknown(t, w, uuid.New())
	expect(exitFailed, "agent.abducted", "rebuild", "audit")
	expect(exitOK, "version 1 is live", "rebuild", "agents")

	w.settings = append(w.settings, "DATABASE_URL=postgres://agentidp@127.0.0.1:1/nowhere")
	expect(exitBadUsage, "cannot be reached", "verify")
	expect(exitBadUsage, "cannot be reached", "status")
	expect(exitBadUsage, "cannot be reached", "rebuild", "--all")
}

// A server of a newer version rebuilds what an older one has left, and is ready
// when that is done; tokens it issues before.
func TestServerIsReadyWhenItsReadModelsAreUpToDate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve(t)
	owner := s.tenant(t, w)
	s.healthy(t, patience)
	s.kill(t)
	pool := w.superuser(t)
	if _, err := pool.Exec(t.Context(), `UPDATE projection_checkpoints SET version = -1 WHERE name = 'agents'; DELETE FROM agents`); err != nil {
		t.Fatal(err)
	}
	release := holdTable(t, pool, "agents")
	s = w.serveOn(t, s.port)
	s.awaitOutput(t, &s.stderr, "waits for long reads")
	health := s.must(t, http.StatusServiceUnavailable, http.MethodGet, "/health", "", nil)
	if !strings.Contains(string(health.raw), `"rebuilding":["agents"]`) {
		t.Errorf("/health: %v, want agents rebuilding", health)
	}
	token := s.mustToken(t, owner.agent, owner.secret, "")
	behind := s.must(t, http.StatusServiceUnavailable, http.MethodGet, "/api/v1/agents/"+owner.agent, token, nil)
	if behind.text("code") != "READ_MODEL_BEHIND" || behind.header.Get("Retry-After") == "" {
		t.Errorf("before the rebuild: %v, want 503 READ_MODEL_BEHIND with Retry-After", behind)
	}
	release()
	await(t, "the server to be ready", func(ctx context.Context) error {
		r, err := s.call(ctx, http.MethodGet, "/health", "", nil)
		if err == nil && r.status != http.StatusOK {
			err = fmt.Errorf("%v", r)
		}
		return err
	})
	s.must(t, http.StatusOK, http.MethodGet, "/api/v1/agents/"+owner.agent, token, nil)
	if r := runToEnd(t, w.settings, "projections", "verify"); r.code != exitOK {
		t.Errorf("verify: code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// TestTheRunbooksCommandsWork types what the runbook says.
func TestTheRunbooksCommandsWork(t *testing.T) {
	t.Parallel()
	runbook, err := os.ReadFile("../../docs/runbooks/rebuild.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := shellBlock.FindAllSubmatch(runbook, -1)
	w := newWorld(t)
	if r := runToEnd(t, w.settings, "projections", "rebuild", "--all"); r.code != exitOK { // for want of a server
		t.Fatalf("code %d\n%s", r.code, r.stderr)
	}
	for _, block := range blocks {
		shell := exec.CommandContext(within(t, patience), "sh", "-eu", "-c", string(block[1]))
		shell.Dir = t.TempDir()
		shell.Env = append([]string{"PATH=" + filepath.Dir(program) + ":" + os.Getenv("PATH")}, w.settings...)
		if output, err := shell.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", block[1], err, output)
		}
	}
	if len(blocks) == 0 {
		t.Error("the runbook has no commands")
	}
}
