package quota

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/api/limits"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// Tiers hold organizations to what their tier allows of a day and of a month.
// The limits are the ledger's, as of the last Sync. The counts are shared by
// all nodes; those of tokens start from what the ledger says wherever they are
// not known, those of calls from what the nodes remember.
type Tiers struct {
	limiter  *limits.Limiter
	tenants  *revocation.Index
	queries  *readmodels.Queries
	hits     *prometheus.CounterVec
	now      func() time.Time
	enforced bool // the limits of a day; that of a month always holds
}

// NewTiers enforces the limits of a day or only counts; that of a month always holds.
func NewTiers(limiter *limits.Limiter, tenants *revocation.Index, queries *readmodels.Queries,
	registry prometheus.Registerer, now func() time.Time, enforced bool,
) *Tiers {
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "agentidp_rate_limit_local", Help: "1 while limits are counted on this node alone, because Redis is away.",
	}, func() float64 {
		if limiter.Alone() {
			return 1
		}
		return 0
	}))
	return &Tiers{limiter: limiter, tenants: tenants, queries: queries, hits: newHits(registry), now: now, enforced: enforced}
}

// Day is the UTC day that it is, by its name and its bounds.
func Day(now time.Time) (name string, begins, ends time.Time) {
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
func (t *Tiers) calls(id domain.OrganizationID, allowed domain.Limits) limits.Counter {
	name, _, ends := Day(t.now())
	return limits.Counter{Key: "rate:tier:calls:" + id.String(), Max: t.ofDay(allowed.MaxCallsPerDay), Period: name, Ends: ends}
}

func (t *Tiers) ofDay(limit int) int {
	if limit == domain.Unlimited || !t.enforced {
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
func (t *Tiers) ofTokens(id domain.OrganizationID, allowed domain.Limits) []quota {
	var list []quota
	add := func(key string, most int, what string, name string, begins, ends time.Time) {
		list = append(list, quota{begins: begins, what: what, Counter: limits.Counter{
			Key: key + id.String(), Max: most, Period: name, Ends: ends, OnRecord: true, Floor: limits.Unknown,
		}})
	}
	now := t.now()
	if allowed.MaxTokensPerDay != domain.Unlimited {
		name, begins, ends := Day(now)
		add("rate:tier:tokens:", t.ofDay(allowed.MaxTokensPerDay), "had all the tokens of this day", name, begins, ends)
	}
	if allowed.MaxTokensPerMonth != domain.Unlimited {
		name, begins, ends := month(now)
		add("quota:tokens:", allowed.MaxTokensPerMonth, "had all the tokens of this month", name, begins, ends)
	}
	return list
}

// TakeToken counts one token of the organization, and for the windows, unless one of
// them is full: that is no error, the outcome says it.
func (t *Tiers) TakeToken(ctx context.Context, id domain.OrganizationID, windows []limits.Window) (limits.Outcome, error) {
	standing, _ := t.tenants.Latest().Standing(id)
	quotas := t.ofTokens(id, standing.Limits)
	demand := limits.Demand{Windows: windows}
	for _, quota := range quotas {
		demand.Counters = append(demand.Counters, quota.Counter)
	}
	if len(windows)+len(quotas) == 0 {
		return limits.Outcome{FullWindow: -1, FullCounter: -1}, nil
	}
	outcome, err := t.limiter.Take(ctx, demand)
	if errors.Is(err, limits.ErrUncounted) {
		if err = t.lookUp(ctx, id, quotas, demand.Counters); err == nil {
			outcome, err = t.limiter.Take(ctx, demand)
		}
	}
	if err == nil && outcome.FullWindow < 0 && outcome.FullCounter >= 0 {
		full := quotas[outcome.FullCounter]
		err = t.usedUp(Tokens, full.what, standing.Tier, full.Counter, outcome.Counts[outcome.FullCounter])
	}
	return outcome, err
}

// lookUp sets the floors from the ledger's read model. It may be some
// milliseconds behind, and then some tokens too many are let through: rather
// that than a token request that waits for a read model.
func (t *Tiers) lookUp(ctx context.Context, id domain.OrganizationID, quotas []quota, counters []limits.Counter) error {
	for i, quota := range quotas {
		issued, err := t.queries.TokensIssued(ctx, id, quota.begins, quota.Ends.AddDate(0, 0, -1))
		if err != nil {
			return err
		}
		counters[i].Floor = int(issued)
	}
	return nil
}

// Recount has the tokens of an organization counted anew: its limits have
// changed, and where there was none they were not counted.
func (t *Tiers) Recount(ctx context.Context, id domain.OrganizationID) {
	for _, quota := range t.ofTokens(id, domain.TierFree.Limits()) {
		t.limiter.Forget(ctx, quota.Key)
	}
}

// CallsToday is how many API calls an organization has made today.
func (t *Tiers) CallsToday(ctx context.Context, id domain.OrganizationID) (int, error) {
	standing, _ := t.tenants.Latest().Standing(id)
	outcome, err := t.limiter.Take(ctx, limits.Demand{Counters: []limits.Counter{t.calls(id, standing.Limits)}, Look: true})
	if err != nil {
		return 0, err
	}
	return outcome.Counts[0], nil
}

func (t *Tiers) usedUp(scope Scope, what string, tier domain.Tier, counter limits.Counter, count int) error {
	t.hits.WithLabelValues(string(scope)).Inc()
	return domain.Refuse(domain.CodeTierLimit, "the organization has %s", what).
		With("tier", tier).With("limit", counter.Max).With("current", count).With(router.DetailResetAt, counter.Ends)
}
