package readmodels

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sentryagent/agentidp/domain"
)

// Events are counted by day as they come, so that the total of a list is a sum
// over days. What is counted when it is asked for are the days that the filter
// cuts, and what has an index of its own: the events of one agent, by it, or on
// its behalf.

// auditCount is what is counted together.
type auditCount struct {
	organization uuid.UUID
	day          int64
	action       string
	outcome      domain.AuditOutcome
}

const addCounts = `INSERT INTO audit_counts AS c (organization_id, day, action, outcome, count, changed_position)
	SELECT * FROM unnest($1::uuid[], $2::date[], $3::text[], $4::text[], $5::bigint[], $6::bigint[])
	ON CONFLICT (organization_id, day, action, outcome) DO UPDATE
		SET (count, changed_position) = (c.count + excluded.count, excluded.changed_position)`

// addAuditCounts adds to the counts what is not in there already.
func addAuditCounts(ctx context.Context, tx pgx.Tx, added tally[auditCount]) error {
	keys, counts, newest := added.columns()
	_, err := tx.Exec(ctx, addCounts,
		column(keys, func(k auditCount) pgtype.UUID { return pgtype.UUID{Bytes: k.organization, Valid: true} }),
		column(keys, func(k auditCount) time.Time { return dayStart(k.day) }),
		column(keys, func(k auditCount) string { return k.action }),
		column(keys, func(k auditCount) string { return string(k.outcome) }), counts, newest)
	return err
}

const countAudit = `SELECT count(*) FROM `

// total is a query for the number of events that pass the filter.
func (f AuditFilter) total(tenant Tenant) (sql string, args []any) {
	if f.NamesAnAgent() || f.ActorKind != "" {
		c := f.conditions(tenant)
		return countAudit + f.from() + c.where(), c.args
	}
	var days conditions
	days.tenant(tenant, "organization_id")
	if f.Action != "" {
		days.add("action = ?", string(f.Action))
	}
	if f.Outcome != "" {
		days.add("outcome = ?", string(f.Outcome))
	}
	from, to := f.since(), f.To
	if !from.IsZero() {
		days.add("day > ?", dayOf(from))
	}
	if !to.IsZero() {
		days.add("day < ?", dayOf(to))
	}
	terms := []string{`(SELECT coalesce(sum(count), 0) FROM audit_counts` + days.where() + `)`}
	args = days.args

	for _, cut := range cutDays(from, to) {
		c := conditions{args: args}
		f.subject(&c, tenant)
		c.add("a.recorded_at >= ?", cut.from)
		c.add("a.recorded_at <= ?", cut.to)
		terms = append(terms, `(`+countAudit+f.from()+c.where()+`)`)
		args = c.args
	}
	return `SELECT (` + strings.Join(terms, " + ") + `)::bigint`, args
}

// span is a part of a day, both ends included.
type span struct{ from, to time.Time }

// cutDays are the parts of the days that bounds fall into, between the bounds.
func cutDays(from, to time.Time) []span {
	switch {
	case from.IsZero() && to.IsZero():
		return nil
	case from.IsZero():
		return []span{{dayOf(to), to}}
	case to.IsZero():
		return []span{{from, endOf(from)}}
	case dayOf(from).Equal(dayOf(to)) || to.Before(from):
		return []span{{from, to}}
	}
	return []span{{from, endOf(from)}, {dayOf(to), to}}
}

func dayOf(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// endOf is the last microsecond, the ledger's smallest unit, of a day.
func endOf(t time.Time) time.Time { return dayOf(t).Add(24*time.Hour - time.Microsecond) }
