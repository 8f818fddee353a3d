package readmodels

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
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
		Name: AuditTrail, Version: 2, Tables: []string{"audit_events", "audit_counts", "delegated_tokens"},
		Apply: func(ctx context.Context, tx pgx.Tx, events []follow.Event) error {
			var newest eventstore.Position
			if err := tx.QueryRow(ctx, selectNewestAudited).Scan(&newest); err != nil {
				return err
			}
			return audit(ctx, tx, after(newest, events), insertAudited)
		},
		Bulk: &projections.Bulk{
			Apply: func(ctx context.Context, tx pgx.Tx, events []follow.Event) error {
				return audit(ctx, tx, events, copyAudited)
			},
			Bare: []string{"audit_events"},
		},
	}
}

// Rows come in ledger order, so events up to the newest row are in already.
const selectNewestAudited = `SELECT coalesce(max(position), 0) FROM audit_events`

// audited is a row of the trail.
type audited struct {
	*follow.Event
	outcome domain.AuditOutcome
	lent    lent
}

// audit adds events to the trail, and counts them. All of them are news to it.
func audit(ctx context.Context, tx pgx.Tx, events []follow.Event, write func(context.Context, pgx.Tx, []audited) error) error {
	rows, counts := make([]audited, 0, len(events)), make(tally[auditCount])
	for i := range events {
		e := &events[i]
		if outcome, shown := domain.Audited(e.Fact); shown {
			rows = append(rows, audited{Event: e, outcome: outcome})
			counts.count(auditCount{e.Organization, dayNumber(e.Time), e.Type, outcome}, e.Position)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	authority, err := authorities(ctx, tx, events)
	if err != nil {
		return err
	}
	for i := range rows {
		rows[i].lent = authority.of(*rows[i].Event)
	}
	if err := write(ctx, tx, rows); err != nil {
		return err
	}
	return addAuditCounts(ctx, tx, counts)
}

const insertAuditRows = `INSERT INTO audit_events
		(position, revision, recorded_at, event_id, organization_id, agent_id, action, outcome, stream,
		actor_kind, actor_id, on_behalf_of, delegation)
	SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[],
		$8::text[], $9::text[], $10::text[], $11::uuid[], $12::uuid[], $13::uuid[])`

func insertAudited(ctx context.Context, tx pgx.Tx, rows []audited) error {
	_, err := tx.Exec(ctx, insertAuditRows,
		column(rows, func(r audited) int64 { return int64(r.Position) }),
		column(rows, func(r audited) int64 { return r.Revision }),
		column(rows, func(r audited) time.Time { return r.Time }),
		column(rows, func(r audited) pgtype.UUID { return dbID(r.ID) }),
		column(rows, func(r audited) pgtype.UUID { return dbID(r.Organization) }),
		column(rows, func(r audited) pgtype.UUID { return dbID(domain.About(r.Fact).Agent.UUID) }),
		column(rows, func(r audited) string { return r.Type }),
		column(rows, func(r audited) string { return string(r.outcome) }),
		column(rows, func(r audited) string { return r.Stream }),
		column(rows, func(r audited) string { return r.Actor.Kind }),
		column(rows, func(r audited) pgtype.UUID { return actorOf(*r.Event) }),
		column(rows, func(r audited) pgtype.UUID { return dbID(r.lent.subject.UUID) }),
		column(rows, func(r audited) pgtype.UUID { return dbID(r.lent.delegation.UUID) }))
	return err
}

var auditColumns = []string{
	"position", "revision", "recorded_at", "event_id", "organization_id", "agent_id", "action", "outcome", "stream",
	"actor_kind", "actor_id", "on_behalf_of", "delegation",
}

// copyAudited is insertAudited by COPY, which is faster and refused on tables with
// row-level security.
func copyAudited(ctx context.Context, tx pgx.Tx, rows []audited) error {
	row := make([]any, len(auditColumns)) // one for all: it is encoded before the next
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"audit_events"}, auditColumns, pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) {
		r := rows[i]
		copy(row, []any{
			int64(r.Position), r.Revision, r.Time, dbID(r.ID), dbID(r.Organization), dbID(domain.About(r.Fact).Agent.UUID),
			r.Type, string(r.outcome), r.Stream,
			r.Actor.Kind, actorOf(*r.Event), dbID(r.lent.subject.UUID), dbID(r.lent.delegation.UUID),
		})
		return row, nil
	}))
	return err
}
