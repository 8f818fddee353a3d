package projections_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/ledger/ledgertest"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// populate records a bit of everything, and so many tokens more.
func (w *world) populate(t testing.TB, tokens int) (last eventstore.Position) {
	t.Helper()
	organization, first, second := newOrganizationID(), newAgentID(), newAgentID()
	record(t, w.store, domain.OrganizationStream(organization), organization,
		domain.OrganizationCreated{OrganizationID: organization, Name: "n", Slug: organization.String(), PlanTier: domain.TierFree},
		domain.MemberAdded{OrganizationID: organization, AgentID: first, Role: domain.RoleAdmin})
	credential := newCredentialID()
	for _, id := range []domain.AgentID{first, second} {
		record(t, w.store, domain.SeatsStream(organization), organization, domain.SeatTaken{OrganizationID: organization, AgentID: id})
		record(t, w.store, domain.AgentStream(id), organization, created(id, organization),
			domain.CredentialGenerated{AgentID: id, CredentialID: newCredentialID(), Kind: domain.SecretCredential,
				Verifier: &domain.Verifier{KeyID: "k", MAC: []byte("x")}},
			domain.DIDCreated{AgentID: id, DID: "did:web:a", KeyNumber: 1, PublicKey: json.RawMessage(`{"crv":"P-256"}`), Custody: domain.CustodyServer},
			domain.AgentSuspended{AgentID: id}, domain.AgentReactivated{AgentID: id})
	}
	partner := ledgertest.PartnerRegistered(organization)
	record(t, w.store, domain.PartnerStream(partner.PartnerID), organization, partner)
	link := delegated(organization, first, second)
	last = record(t, w.store, domain.DelegationStream(link.DelegationID), organization, link)
	for tokens > 0 {
		facts := make([]domain.Event, min(tokens, 500))
		for i := range facts {
			facts[i] = issued([]domain.AgentID{first, second}[i%2], credential)
		}
		last = record(t, w.store, domain.AgentStream(first), organization, facts...)
		tokens -= len(facts)
	}
	return last
}

// brought populates the ledger and brings the read models up to it, and no further.
func (w *world) brought(t testing.TB, tokens int) (last eventstore.Position) {
	t.Helper()
	last = w.populate(t, tokens)
	all := readmodels.All()
	progress := projections.NewProgress(w.pool, w.store, all, projections.ProgressOptions{})
	stopProgress := run(t, progress)
	stop := run(t, projections.NewRunner(w.pool, w.store, all, projections.RunnerOptions{Progress: progress}))
	waitAll(t, progress, last)
	stop()
	stopProgress()
	return last
}

func (w *world) rebuild(t testing.TB, options projections.RebuildOptions, list ...projections.Projection) []projections.Rebuilt {
	t.Helper()
	results := projections.NewRebuilder(w.pool, w.store, options).Rebuild(t.Context(), list...)
	if err := projections.RebuildError(results); err != nil {
		t.Fatal(err)
	}
	return results
}

// mustVerify demands that the read models are what the ledger says.
func (w *world) mustVerify(t testing.TB, list ...projections.Projection) {
	t.Helper()
	for _, result := range projections.NewVerifier(w.pool, w.store, projections.VerifyOptions{}).Verify(t.Context(), list...) {
		if result.Err != nil || result.Different != 0 {
			t.Errorf("verify %s: %v, %d rows differ, the first %v", result.Projection, result.Err, result.Different, result.Found)
		}
	}
}

// shape is all that the database knows of the read models besides rows: columns,
// indexes, constraints, rights, policies, settings.
func (w *world) shape(t testing.TB) (lines []string) {
	t.Helper()
	const describe = `
		SELECT format('%s column %s %s %s %s %s', c.relname, attname, atttypid::regtype, attnotnull, attstorage, attnum)
			FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND relkind = 'r'
		UNION ALL SELECT format('%s index %s', tablename, indexdef) FROM pg_indexes WHERE schemaname = 'public'
		UNION ALL SELECT format('%s constraint %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint
			WHERE connamespace = 'public'::regnamespace
		UNION ALL SELECT format('%s policy %s', tablename, p) FROM pg_policies p WHERE schemaname = 'public'
		UNION ALL SELECT format('%s owned by %s, acl %s, rls %s %s, options %s', relname, relowner::regrole,
			(SELECT array_agg(a::text ORDER BY a::text) FROM unnest(relacl) a), relrowsecurity, relforcerowsecurity, reloptions)
			FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
		UNION ALL SELECT format('left behind: %s', oid::regclass) FROM pg_class
			WHERE relnamespace IN ('next'::regnamespace, 'previous'::regnamespace)
		ORDER BY 1`
	rows, err := w.admin.Query(t.Context(), describe)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	return lines
}

func (w *world) exec(t testing.TB, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := w.admin.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

func TestRebuiltTablesAreTheLiveOnesAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	last := w.brought(t, 9000)
	rows, shape := w.dump(t), w.shape(t)
	w.exec(t, `DELETE FROM agents`, `UPDATE audit_events SET action = 'x'`, `UPDATE token_usage SET count = 0`)
	results := w.rebuild(t, projections.RebuildOptions{}, readmodels.All()...)
	for _, result := range results {
		if result.Position > last || result.Resumed != 0 || result.Held <= 0 {
			t.Errorf("%+v, want it anew and not beyond %d", result, last)
		}
	}
	if diff := cmp.Diff(rows, w.dump(t)); diff != "" {
		t.Errorf("rows (-before +rebuilt):\n%s", diff)
	}
	if diff := cmp.Diff(shape, w.shape(t)); diff != "" {
		t.Errorf("tables (-before +rebuilt):\n%s", diff)
	}
	w.mustVerify(t, readmodels.All()...)
	waitAll(t, w.follow(t), w.populate(t, 1))
	w.mustVerify(t, readmodels.All()...)
}

// A rebuild that is cut off at any point leaves what is live alone, and the
// next one goes on.
func TestCutOffRebuildLeavesTheLiveTablesAndIsResumed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	last := w.brought(t, 30_000)
	rows := w.dump(t)
	var cutAt, resumed []eventstore.Position
	for cuts := range 10 {
		ctx, cut := context.WithCancel(t.Context())
		at := last * eventstore.Position(cuts+1) / 11
		results := projections.NewRebuilder(w.pool, w.store, projections.RebuildOptions{Report: func(state projections.RebuildState) {
			if state.Projection == readmodels.AuditTrail && state.Position >= at {
				cut()
			}
		}}).Rebuild(ctx, readmodels.Audit())
		cut()
		if !errors.Is(results[0].Err, context.Canceled) {
			t.Fatalf("cut off at %d: %+v, want it cancelled", at, results[0])
		}
		cutAt, resumed = append(cutAt, at), append(resumed, results[0].Resumed)
		if diff := cmp.Diff(rows, w.dump(t)); diff != "" {
			t.Fatalf("cut off at %d, and the live rows changed:\n%s", at, diff)
		}
	}
	results := w.rebuild(t, projections.RebuildOptions{}, readmodels.Audit())
	t.Logf("cut off at %v, resumed from %v, in the end from %d", cutAt, resumed, results[0].Resumed)
	if results[0].Resumed < cutAt[9] {
		t.Errorf("the last rebuild went on from %d, want from what was there: %d at least", results[0].Resumed, cutAt[9])
	}
	if diff := cmp.Diff(rows, w.dump(t)); diff != "" {
		t.Errorf("rows (-before +rebuilt):\n%s", diff)
	}
	w.mustVerify(t, readmodels.All()...)
	again := w.rebuild(t, projections.RebuildOptions{}, readmodels.Audit())
	if again[0].Resumed != 0 || again[0].Events != int64(last) {
		t.Errorf("the next rebuild: %+v, want all %d events from the beginning", again[0], last)
	}
}

// beginAudit leaves a rebuild of the audit trail unfinished.
func (w *world) beginAudit(t testing.TB) {
	t.Helper()
	ctx, cut := context.WithCancel(t.Context())
	defer cut()
	results := projections.NewRebuilder(w.pool, w.store, projections.RebuildOptions{Report: func(projections.RebuildState) { cut() }}).
		Rebuild(ctx, readmodels.Audit())
	if !errors.Is(results[0].Err, context.Canceled) {
		t.Fatalf("%+v, want it cut off", results[0])
	}
}

func TestRestartThrowsAwayWhatIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.brought(t, 9000)
	w.beginAudit(t)
	w.exec(t, `UPDATE next.audit_events SET action = 'x'`)
	if results := w.rebuild(t, projections.RebuildOptions{Restart: true}, readmodels.Audit()); results[0].Resumed != 0 {
		t.Errorf("%+v, want it from the beginning", results[0])
	}
	w.mustVerify(t, readmodels.Audit())
}

// What was begun before a migration does not fit any more, and is not gone on with.
func TestRebuildCutOffBeforeAMigrationBeginsAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.brought(t, 9000)
	w.beginAudit(t)
	w.exec(t, `ALTER TABLE audit_events ADD COLUMN note text`)
	if results := w.rebuild(t, projections.RebuildOptions{}, readmodels.Audit()); results[0].Resumed != 0 {
		t.Errorf("%+v, want it from the beginning", results[0])
	}
	w.exec(t, `SELECT note FROM audit_events`)
	w.mustVerify(t, readmodels.Audit())
}

func TestOneRebuildOfAProjectionAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.brought(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first := make(chan struct{})
	var second []projections.Rebuilt
	results := projections.NewRebuilder(w.pool, w.store, projections.RebuildOptions{Report: func(state projections.RebuildState) {
		if state.Stage == projections.Indexing {
			close(first)
			second = projections.NewRebuilder(w.pool, w.store, projections.RebuildOptions{}).Rebuild(ctx, readmodels.Agents(), readmodels.Credentials())
		}
	}}).Rebuild(ctx, readmodels.Agents())
	<-first
	if err := projections.RebuildError(results); err != nil {
		t.Errorf("the first: %v", err)
	}
	if !errors.Is(second[0].Err, projections.ErrRebuilding) || second[1].Err != nil {
		t.Errorf("the second, meanwhile: %+v, want ErrRebuilding for what the first rebuilds and nothing else", second)
	}
}

// A rebuild that another process has gone on with, since its lease was lost, writes
// nothing more and switches nothing.
func TestARebuildThatWasTakenOverEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.brought(t, 9000)
	rows := w.dump(t)
	for _, stage := range []projections.RebuildStage{projections.Filling, projections.Switching} {
		options := projections.RebuildOptions{Restart: true, Report: func(state projections.RebuildState) {
			if state.Stage == stage {
				w.exec(t, `UPDATE projection_rebuilds SET position = position + 1`) // as if the other had got further
			}
		}}
		results := projections.NewRebuilder(w.pool, w.store, options).Rebuild(t.Context(), readmodels.Audit())
		if !errors.Is(results[0].Err, follow.ErrFenced) {
			t.Errorf("taken over when %s: %v, want ErrFenced", stage, results[0].Err)
		}
	}
	if diff := cmp.Diff(rows, w.dump(t)); diff != "" {
		t.Errorf("rows (-before +after):\n%s", diff)
	}
}

// An event that cannot be applied ends the rebuild of who wants it.
func TestRebuildEndsAtAnEventThatCannotBeApplied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.brought(t, 700)
	rows := w.dump(t)
	at := record(t, w.store, newStream(), newOrganizationID(), domain.AgentSuspended{AgentID: newAgentID()})
	results := projections.NewRebuilder(w.pool, w.store, projections.RebuildOptions{}).
		Rebuild(t.Context(), readmodels.Agents(), readmodels.Credentials())
	if err := results[0].Err; err == nil || !strings.Contains(err.Error(), "was never created") || !strings.Contains(err.Error(), fmt.Sprint("position ", at)) {
		t.Errorf("agents: %v, want the event at %d named", err, at)
	}
	if results[1].Err != nil {
		t.Errorf("credentials: %v, want it rebuilt", results[1].Err)
	}
	if diff := cmp.Diff(rows, w.dump(t)); diff != "" {
		t.Errorf("rows (-before +after):\n%s", diff)
	}
}
