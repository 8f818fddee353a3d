package api

import (
	"context"
	"errors"
	"time"

	"github.com/sentryagent/agentidp/api/limits"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// quotas hold organizations to what their tier allows of a day and of a month.
// The limits are the ledger's, as of the last Sync. The counts are shared by
// all nodes; those of tokens start from what the ledger says wherever they are
// not known, those of calls from what the nodes remember.
type quotas struct {
	limiter  *limits.Limiter
	tenants  *revocation.Index
	queries  *readmodels.Queries
	metrics  *metrics
	now      func() time.Time
	enforced bool // the limits of a day; that of a month always holds
}

// day is the UTC day that it is, by its name and its bounds.
func day(now time.Time) (name string, begins, ends time.Time) {
	now = now.UTC()
	begins = time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	return begins.Format(time.DateOnly), begins, begins.AddDate(0, 0, 1)
}

func month(now time.Time) (name string, begins, ends time.Time) {
	now = now.UTC()
	begins = time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	return begins.Format("2006-01"), begins, begins.AddDate(0, 1, 0)
}

// calls counts the API calls of an organization.
func (q *quotas) calls(id domain.OrganizationID, allowed domain.Limits) limits.Counter {
	name, _, ends := day(q.now())
	return limits.Counter{Key: "rate:tier:calls:" + id.String(), Max: q.ofDay(allowed.MaxCallsPerDay), Period: name, Ends: ends}
}

func (q *quotas) ofDay(limit int) int {
	if limit == domain.Unlimited || !q.enforced {
		return limits.Unbounded
	}
	return limit
}

// quota is one limit of an organization's tokens.
type quota struct {
	limits.Counter
	begins time.Time
	what   string
}

// ofTokens lists those that there are. Tokens without a limit are not counted:
// when one is set, the count begins with what the ledger says.
func (q *quotas) ofTokens(id domain.OrganizationID, allowed domain.Limits) []quota {
	var list []quota
	add := func(key string, most int, what string, name string, begins, ends time.Time) {
		list = append(list, quota{begins: begins, what: what, Counter: limits.Counter{
			Key: key + id.String(), Max: most, Period: name, Ends: ends, OnRecord: true, Floor: limits.Unknown,
		}})
	}
	now := q.now()
	if allowed.MaxTokensPerDay != domain.Unlimited {
		name, begins, ends := day(now)
		add("rate:tier:tokens:", q.ofDay(allowed.MaxTokensPerDay), "had all the tokens of this day", name, begins, ends)
	}
	if allowed.MaxTokensPerMonth != domain.Unlimited {
		name, begins, ends := month(now)
		add("quota:tokens:", allowed.MaxTokensPerMonth, "had all the tokens of this month", name, begins, ends)
	}
	return list
}

// take counts one token of the organization, and for the windows, unless one of
// them is full: that is no error, the outcome says it.
func (q *quotas) take(ctx context.Context, id domain.OrganizationID, windows []limits.Window) (limits.Outcome, error) {
	standing, _ := q.tenants.Latest().Standing(id)
	quotas := q.ofTokens(id, standing.Limits)
	demand := limits.Demand{Windows: windows, Counters: mapped(quotas, func(q quota) limits.Counter { return q.Counter })}
	if len(windows)+len(quotas) == 0 {
		return limits.Outcome{FullWindow: -1, FullCounter: -1}, nil
	}
	outcome, err := q.limiter.Take(ctx, demand)
	if errors.Is(err, limits.ErrUncounted) {
		if err = q.lookUp(ctx, id, quotas, demand.Counters); err == nil {
			outcome, err = q.limiter.Take(ctx, demand)
		}
	}
	if err == nil && outcome.FullWindow < 0 && outcome.FullCounter >= 0 {
		full := quotas[outcome.FullCounter]
		err = usedUp(q.metrics, scopeTokens, full.what, standing.Tier, full.Counter, outcome.Counts[outcome.FullCounter])
	}
	return outcome, err
}

// lookUp sets the floors from the ledger's read model. It may be some
// milliseconds behind, and then some tokens too many are let through: rather
// that than a token request that waits for a read model.
func (q *quotas) lookUp(ctx context.Context, id domain.OrganizationID, quotas []quota, counters []limits.Counter) error {
	for i, quota := range quotas {
		issued, err := q.queries.TokensIssued(ctx, id, quota.begins, quota.Ends.AddDate(0, 0, -1))
		if err != nil {
			return err
		}
		counters[i].Floor = int(issued)
	}
	return nil
}

// recount has the tokens of an organization counted anew: its limits have
// changed, and where there was none they were not counted.
func (q *quotas) recount(ctx context.Context, id domain.OrganizationID) {
	for _, quota := range q.ofTokens(id, domain.TierFree.Limits()) {
		q.limiter.Forget(ctx, quota.Key)
	}
}
