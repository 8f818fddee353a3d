package projections

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sentryagent/agentidp/eventstore"
)

var auditColumns = []string{
	"position", "revision", "recorded_at", "event_id", "organization_id", "agent_id", "action", "outcome", "stream",
}

// copyAudit is applyAudit for events that are all news: rows go in by COPY, and
// what has been counted here is added to the counts.
func copyAudit(ctx context.Context, tx pgx.Tx, events []Event) error {
	source := &auditSource{rest: events, counts: make(map[auditCount]*counted)}
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"audit_events"}, auditColumns, source); err != nil {
		return err
	}
	keys := slices.Collect(maps.Keys(source.counts))
	_, err := tx.Exec(ctx, addAuditCounts,
		column(keys, func(k auditCount) pgtype.UUID { return pgtype.UUID{Bytes: k.organization, Valid: true} }),
		column(keys, func(k auditCount) time.Time { return time.Unix(k.day*secondsADay, 0).UTC() }),
		column(keys, func(k auditCount) string { return k.action }),
		column(keys, func(k auditCount) string { return string(k.outcome) }),
		column(keys, func(k auditCount) int64 { return source.counts[k].count }),
		column(keys, func(k auditCount) int64 { return int64(source.counts[k].newest) }))
	return err
}

const addAuditCounts = `INSERT INTO audit_counts AS c (organization_id, day, action, outcome, count, changed_position)
	SELECT * FROM unnest($1::uuid[], $2::date[], $3::text[], $4::text[], $5::bigint[], $6::bigint[])
	ON CONFLICT (organization_id, day, action, outcome) DO UPDATE
		SET (count, changed_position) = (c.count + excluded.count, excluded.changed_position)`

const secondsADay = 24 * 60 * 60

// auditCount is what is counted together.
type auditCount struct {
	organization uuid.UUID
	day          int64 // since 1970, in UTC
	action       string
	outcome      Outcome
}

type counted struct {
	count  int64
	newest eventstore.Position
}

// auditSource gives the rows of events to COPY, and counts them on the way.
type auditSource struct {
	rest   []Event
	counts map[auditCount]*counted
	now    Event
	row    [9]any
}

var _ pgx.CopyFromSource = (*auditSource)(nil)

// Next implements [pgx.CopyFromSource].
func (s *auditSource) Next() bool {
	for len(s.rest) > 0 {
		s.now, s.rest = s.rest[0], s.rest[1:]
		if audited(s.now.Fact) {
			return true
		}
	}
	return false
}

// Values implements [pgx.CopyFromSource].
func (s *auditSource) Values() ([]any, error) {
	e, outcome := &s.now, outcomeOf(s.now.Fact)
	s.count(auditCount{e.Organization, e.Time.Unix() / secondsADay, e.Type, outcome}, e.Position)
	s.row = [9]any{
		int64(e.Position), e.Revision, e.Time, dbID(e.ID), dbID(e.Organization), dbID(agentOf(e.Fact).UUID),
		e.Type, string(outcome), e.Stream,
	}
	return s.row[:], nil
}

func (s *auditSource) count(key auditCount, position eventstore.Position) {
	c := s.counts[key]
	if c == nil {
		c = &counted{}
		s.counts[key] = c
	}
	c.count++
	c.newest = position
}

// Err implements [pgx.CopyFromSource].
func (s *auditSource) Err() error { return nil }
