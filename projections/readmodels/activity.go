package readmodels

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/projections"
)

// Activity is the projection behind "last seen" and the token counts. Nobody
// waits for it and it has the most events, so it takes them in large batches.
func Activity() projections.Projection {
	return projections.Projection{
		Name: "activity", Version: 1, Tables: []string{"agent_activity", "token_usage"},
		Types: []domain.Type{domain.TokenIssued{}.EventType()}, Pace: 100 * time.Millisecond,
		Apply: func(ctx context.Context, tx pgx.Tx, events []follow.Event) error {
			counted, err := countedUpTo(ctx, tx, events)
			if err != nil {
				return err
			}
			return addActivity(ctx, tx, events, counted)
		},
		Bulk: &projections.Bulk{Apply: func(ctx context.Context, tx pgx.Tx, events []follow.Event) error {
			return addActivity(ctx, tx, events, nil)
		}},
	}
}

const (
	storeLastAuth = `INSERT INTO agent_activity AS a (agent_id, organization_id, last_auth_at, changed_position)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::bigint[])
		ON CONFLICT (agent_id) DO UPDATE
			SET (last_auth_at, changed_position) = (excluded.last_auth_at, excluded.changed_position)
		WHERE a.changed_position < excluded.changed_position`

	addIssued = `INSERT INTO token_usage AS u (organization_id, day, count, changed_position)
		SELECT * FROM unnest($1::uuid[], $2::date[], $3::bigint[], $4::bigint[])
		ON CONFLICT (organization_id, day) DO UPDATE
			SET (count, changed_position) = (u.count + excluded.count, excluded.changed_position)`

	selectCounted = `SELECT organization_id, day, changed_position FROM token_usage
		JOIN unnest($1::uuid[], $2::date[]) AS e(organization_id, day) USING (organization_id, day)`
)

// addActivity notes who authenticated last, and counts what was issued since the
// positions up to which that is done.
func addActivity(ctx context.Context, tx pgx.Tx, events []follow.Event, counted map[usageDay]eventstore.Position) error {
	last, err := lastAuth(events)
	if err != nil {
		return err
	}
	batch := &pgx.Batch{}
	queueLastAuth(batch, last)
	issued := make(tally[usageDay])
	for i := range events {
		if day := usageDayOf(&events[i]); events[i].Position > counted[day] {
			issued.count(day, events[i].Position)
		}
	}
	days, counts, newest := issued.columns()
	batch.Queue(addIssued,
		column(days, func(d usageDay) pgtype.UUID { return dbID(d.organization) }),
		column(days, func(d usageDay) time.Time { return dayStart(d.day) }), counts, newest)
	return tx.SendBatch(ctx, batch).Close()
}

// usageDay is what issuances are counted by.
type usageDay struct {
	organization uuid.UUID
	day          int64
}

func usageDayOf(e *follow.Event) usageDay { return usageDay{e.Organization, dayNumber(e.Time)} }

// countedUpTo gives up to which positions issuances are in the counts that the
// events belong to.
func countedUpTo(ctx context.Context, tx pgx.Tx, events []follow.Event) (map[usageDay]eventstore.Position, error) {
	counted := make(map[usageDay]eventstore.Position)
	for i := range events {
		counted[usageDayOf(&events[i])] = 0
	}
	days := slices.Collect(maps.Keys(counted))
	rows, err := tx.Query(ctx, selectCounted,
		column(days, func(d usageDay) pgtype.UUID { return dbID(d.organization) }),
		column(days, func(d usageDay) time.Time { return dayStart(d.day) }))
	if err != nil {
		return nil, err
	}
	var organization uuid.UUID
	var day time.Time
	var position eventstore.Position
	_, err = pgx.ForEachRow(rows, []any{&organization, &day, (*uint64)(&position)}, func() error {
		counted[usageDay{organization, dayNumber(day)}] = position
		return nil
	})
	return counted, err
}

// lastAuth is the last event by which each agent has authenticated.
func lastAuth(events []follow.Event) (map[domain.AgentID]*follow.Event, error) {
	last := make(map[domain.AgentID]*follow.Event)
	for i := range events {
		e := &events[i]
		issued, ok := e.Fact.(domain.TokenIssued)
		if !ok || e.Organization == uuid.Nil {
			return nil, fmt.Errorf("%s of organization %s counts for nobody", e.Type, e.Organization)
		}
		if issued.Delegation == nil { // else it did not authenticate for it
			last[issued.AgentID] = e
		}
	}
	return last, nil
}

func queueLastAuth(batch *pgx.Batch, last map[domain.AgentID]*follow.Event) {
	agents := slices.Collect(maps.Keys(last))
	batch.Queue(storeLastAuth,
		column(agents, func(id domain.AgentID) pgtype.UUID { return dbID(id.UUID) }),
		column(agents, func(id domain.AgentID) pgtype.UUID { return dbID(last[id].Organization) }),
		column(agents, func(id domain.AgentID) time.Time { return last[id].Time }),
		column(agents, func(id domain.AgentID) int64 { return int64(last[id].Position) }))
}

const selectTokensIssued = `SELECT coalesce(sum(count), 0)::bigint FROM token_usage
	WHERE organization_id = $1 AND day BETWEEN $2 AND $3`

// TokensIssued counts the tokens of an organization issued on the UTC days
// from one to another, both included.
func (q *Queries) TokensIssued(ctx context.Context, id domain.OrganizationID, from, to time.Time) (int64, error) {
	return one(ctx, q, InOrganization(id), pgx.RowTo[int64], selectTokensIssued, id.UUID, from.UTC(), to.UTC())
}
