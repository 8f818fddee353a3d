package readmodels

import (
	"context"
	"time"

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
