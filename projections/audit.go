package projections

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sentryagent/agentidp/domain"
)

// Outcome says how an audited action ended.
type Outcome string

const (
	Success Outcome = "success"
	Failure Outcome = "failure"
)

// AuditTrail names the projection that readers of the audit trail wait for,
// with [Progress.WaitFor].
const AuditTrail = "audit"

// Audit is the projection behind the audit trail: an index of the ledger. It
// takes every event there is, so that one it does not know halts it instead of
// being missing from the trail.
func Audit() Projection {
	return Projection{
		Name: AuditTrail, Version: 2, Tables: []string{"audit_events", "audit_counts", "delegated_tokens"}, Apply: applyAudit,
		Bulk: &Bulk{Apply: copyAudit, Bare: []string{"audit_events"}},
	}
}

// audited reports whether an event is an action that the trail shows. How
// seats and unique names are kept is in the ledger, but nobody's action.
func audited(fact domain.Event) bool {
	switch fact.(type) {
	case domain.SeatTaken, domain.SeatReleased, domain.SeatsClosed,
		domain.ClaimMade, domain.ClaimTakenOver,
		domain.RegistrationAbandoned, domain.CreationAbandoned, domain.AdminConfirmed:
		return false
	}
	return true
}

func outcomeOf(fact domain.Event) Outcome {
	if _, failed := fact.(domain.AuthFailed); failed {
		return Failure
	}
	return Success
}

// agentOf is the agent that an event is about, zero when about none. A failed
// authentication is about whom it claimed to be, as far as that may be an agent.
func agentOf(fact domain.Event) domain.AgentID {
	switch f := fact.(type) {
	case domain.TokenIssued:
		return f.AgentID
	case domain.TokenRevoked:
		return f.AgentID
	case domain.AuthFailed:
		id, _ := domain.ParseAgentID(f.ClientID)
		return id
	case domain.AgentCreated:
		return f.AgentID
	case domain.AgentUpdated:
		return f.AgentID
	case domain.AgentSuspended:
		return f.AgentID
	case domain.AgentReactivated:
		return f.AgentID
	case domain.AgentDecommissioned:
		return f.AgentID
	case domain.CredentialGenerated:
		return f.AgentID
	case domain.CredentialRotated:
		return f.AgentID
	case domain.CredentialRevoked:
		return f.AgentID
	case domain.CredentialExpired:
		return f.AgentID
	case domain.MemberAdded:
		return f.AgentID
	case domain.MemberRoleChanged:
		return f.AgentID
	case domain.MemberRemoved:
		return f.AgentID
	case domain.MemberSuspended:
		return f.AgentID
	case domain.DelegationCreated:
		return f.DelegatorID
	case domain.DelegationRevoked:
		return f.DelegatorID
	}
	return domain.AgentID{}
}

// Rows come in ledger order, so those up to the newest are there already. (ON
// CONFLICT would say the same, with more work for each row.)
const storeAuditRows = `INSERT INTO audit_events
		(position, revision, recorded_at, event_id, organization_id, agent_id, action, outcome, stream,
		actor_kind, actor_id, on_behalf_of, delegation)
	SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[],
		$8::text[], $9::text[], $10::text[], $11::uuid[], $12::uuid[], $13::uuid[]) AS e(position)
	WHERE e.position > (SELECT coalesce(max(position), 0) FROM audit_events)`

func applyAudit(ctx context.Context, tx pgx.Tx, events []Event) error {
	rows := make([]Event, 0, len(events))
	for _, e := range events {
		if audited(e.Fact) {
			rows = append(rows, e)
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
	position := column(rows, func(e Event) int64 { return int64(e.Position) })
	action := column(rows, func(e Event) string { return e.Type })
	outcome := column(rows, func(e Event) string { return string(outcomeOf(e.Fact)) })
	batch.Queue(storeAuditRows, position,
		column(rows, func(e Event) int64 { return e.Revision }),
		column(rows, func(e Event) time.Time { return e.Time }),
		column(rows, func(e Event) pgtype.UUID { return dbID(e.ID) }),
		column(rows, func(e Event) pgtype.UUID { return dbID(e.Organization) }),
		column(rows, func(e Event) pgtype.UUID { return dbID(agentOf(e.Fact).UUID) }),
		action, outcome,
		column(rows, func(e Event) string { return e.Stream }),
		column(rows, func(e Event) string { return e.Actor.Kind }),
		column(rows, func(e Event) pgtype.UUID { return actorOf(e) }),
		column(rows, func(e Event) pgtype.UUID { return dbID(authority.of(e).subject.UUID) }),
		column(rows, func(e Event) pgtype.UUID { return dbID(authority.of(e).delegation.UUID) }))
	batch.Queue(countAudited, position,
		column(rows, func(e Event) pgtype.UUID { return pgtype.UUID{Bytes: e.Organization, Valid: true} }),
		column(rows, func(e Event) time.Time { return e.Time.UTC() }),
		action, outcome)
	return tx.SendBatch(ctx, batch).Close()
}
