package readmodels

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/projections"
)

// AuditTrail names the projection that readers of the audit trail wait for,
// with [projections.Progress.WaitFor].
const AuditTrail = "audit"

// Audit is the projection behind the audit trail: an index of the ledger. It
// takes every event there is, so that one it does not know halts it instead of
// being missing from the trail.
func Audit() projections.Projection {
	return projections.Projection{
		Name: AuditTrail, Version: 2, Tables: []string{"audit_events", "audit_counts", "delegated_tokens"}, Apply: applyAudit,
		Bulk: &projections.Bulk{Apply: copyAudit, Bare: []string{"audit_events"}},
	}
}

// Rows come in ledger order, so those up to the newest are there already. (ON
// CONFLICT would say the same, with more work for each row.)
const storeAuditRows = `INSERT INTO audit_events
		(position, revision, recorded_at, event_id, organization_id, agent_id, action, outcome, stream,
		actor_kind, actor_id, on_behalf_of, delegation)
	SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[],
		$8::text[], $9::text[], $10::text[], $11::uuid[], $12::uuid[], $13::uuid[]) AS e(position)
	WHERE e.position > (SELECT coalesce(max(position), 0) FROM audit_events)`

func applyAudit(ctx context.Context, tx pgx.Tx, events []follow.Event) error {
	rows, outcomes := make([]follow.Event, 0, len(events)), make(pgtype.FlatArray[string], 0, len(events))
	for _, e := range events {
		if outcome, shown := domain.Audited(e.Fact); shown {
			rows, outcomes = append(rows, e), append(outcomes, string(outcome))
		}
	}
	if len(rows) == 0 {
		return nil
	}
	authority, err := authorities(ctx, tx, events)
	if err != nil {
		return err
	}
	batch := &pgx.Batch{}
	position := column(rows, func(e follow.Event) int64 { return int64(e.Position) })
	action := column(rows, func(e follow.Event) string { return e.Type })
	batch.Queue(storeAuditRows, position,
		column(rows, func(e follow.Event) int64 { return e.Revision }),
		column(rows, func(e follow.Event) time.Time { return e.Time }),
		column(rows, func(e follow.Event) pgtype.UUID { return dbID(e.ID) }),
		column(rows, func(e follow.Event) pgtype.UUID { return dbID(e.Organization) }),
		column(rows, func(e follow.Event) pgtype.UUID { return dbID(domain.About(e.Fact).Agent.UUID) }),
		action, outcomes,
		column(rows, func(e follow.Event) string { return e.Stream }),
		column(rows, func(e follow.Event) string { return e.Actor.Kind }),
		column(rows, func(e follow.Event) pgtype.UUID { return actorOf(e) }),
		column(rows, func(e follow.Event) pgtype.UUID { return dbID(authority.of(e).subject.UUID) }),
		column(rows, func(e follow.Event) pgtype.UUID { return dbID(authority.of(e).delegation.UUID) }))
	batch.Queue(countAudited, position,
		column(rows, func(e follow.Event) pgtype.UUID { return pgtype.UUID{Bytes: e.Organization, Valid: true} }),
		column(rows, func(e follow.Event) time.Time { return e.Time.UTC() }),
		action, outcomes)
	return tx.SendBatch(ctx, batch).Close()
}

var auditColumns = []string{
	"position", "revision", "recorded_at", "event_id", "organization_id", "agent_id", "action", "outcome", "stream",
	"actor_kind", "actor_id", "on_behalf_of", "delegation",
}

// copyAudit is applyAudit for events that are all news: rows go in by COPY, and
// what has been counted here is added to the counts.
func copyAudit(ctx context.Context, tx pgx.Tx, events []follow.Event) error {
	authority, err := authorities(ctx, tx, events)
	if err != nil {
		return err
	}
	source := &auditSource{rest: events, counts: make(tally[auditCount]), authority: authority}
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"audit_events"}, auditColumns, source); err != nil {
		return err
	}
	keys, counts, newest := source.counts.columns()
	_, err = tx.Exec(ctx, addAuditCounts,
		column(keys, func(k auditCount) pgtype.UUID { return pgtype.UUID{Bytes: k.organization, Valid: true} }),
		column(keys, func(k auditCount) time.Time { return dayStart(k.day) }),
		column(keys, func(k auditCount) string { return k.action }),
		column(keys, func(k auditCount) string { return string(k.outcome) }), counts, newest)
	return err
}

const addAuditCounts = `INSERT INTO audit_counts AS c (organization_id, day, action, outcome, count, changed_position)
	SELECT * FROM unnest($1::uuid[], $2::date[], $3::text[], $4::text[], $5::bigint[], $6::bigint[])
	ON CONFLICT (organization_id, day, action, outcome) DO UPDATE
		SET (count, changed_position) = (c.count + excluded.count, excluded.changed_position)`

// auditCount is what is counted together.
type auditCount struct {
	organization uuid.UUID
	day          int64
	action       string
	outcome      domain.AuditOutcome
}

// auditSource gives the rows of events to COPY, and counts them on the way.
type auditSource struct {
	rest    []follow.Event
	counts  tally[auditCount]
	now     *follow.Event
	outcome domain.AuditOutcome // of now
	row     [13]any

	authority lentAuthority
}

var _ pgx.CopyFromSource = (*auditSource)(nil)

// Next implements [pgx.CopyFromSource].
func (s *auditSource) Next() bool {
	for len(s.rest) > 0 {
		s.now, s.rest = &s.rest[0], s.rest[1:]
		var shown bool
		if s.outcome, shown = domain.Audited(s.now.Fact); shown {
			return true
		}
	}
	return false
}

// Values implements [pgx.CopyFromSource].
func (s *auditSource) Values() ([]any, error) {
	e := s.now
	s.counts.count(auditCount{e.Organization, dayNumber(e.Time), e.Type, s.outcome}, e.Position)
	lent := s.authority.of(*e)
	s.row = [13]any{
		int64(e.Position), e.Revision, e.Time, dbID(e.ID), dbID(e.Organization), dbID(domain.About(e.Fact).Agent.UUID),
		e.Type, string(s.outcome), e.Stream,
		e.Actor.Kind, actorOf(*e), dbID(lent.subject.UUID), dbID(lent.delegation.UUID),
	}
	return s.row[:], nil
}

// Err implements [pgx.CopyFromSource].
func (s *auditSource) Err() error { return nil }
