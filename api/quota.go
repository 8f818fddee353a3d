package api

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/expirable"
	"github.com/redis/go-redis/v9"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/projections"
)

// tokenQuota holds organizations to their tokens of a month. The count is
// shared by all nodes in Redis and starts from what the ledger says when Redis
// has lost it; while Redis is away every node counts for itself, from the same
// start.
type tokenQuota struct {
	redis   *redis.Client
	queries *projections.Queries
	ledger  *ledger.Ledger
	now     func() time.Time
	limits  *expirable.LRU[domain.OrganizationID, int] // a second old at most

	mu    sync.Mutex // guards local
	local map[string]int
}

func newTokenQuota(client *redis.Client, queries *projections.Queries, l *ledger.Ledger, now func() time.Time) *tokenQuota {
	const remembered, staleness = 10_000, time.Second
	return &tokenQuota{
		redis: client, queries: queries, ledger: l, now: now,
		limits: expirable.NewLRU[domain.OrganizationID, int](remembered, nil, staleness),
		local:  map[string]int{},
	}
}

func (q *tokenQuota) limit(ctx context.Context, id domain.OrganizationID) (int, error) {
	if limit, known := q.limits.Get(id); known {
		return limit, nil
	}
	organization, err := q.ledger.Organization(ctx, id)
	if err != nil {
		return 0, err
	}
	limit := organization.Limits().MaxTokensPerMonth
	q.limits.Add(id, limit)
	return limit, nil
}

// countUnlessFull gives the new count, or -1 where there is none to start
// from, or -2 when the limit is reached.
var countUnlessFull = redis.NewScript(`
local count = redis.call('GET', KEYS[1])
if not count then return -1 end
if tonumber(count) >= tonumber(ARGV[1]) then return -2 end
return redis.call('INCR', KEYS[1])`)

const (
	quotaUncounted = -1
	quotaFull      = -2
)

// take counts one token of the organization, or refuses it.
func (q *tokenQuota) take(ctx context.Context, organization domain.OrganizationID) error {
	limit, err := q.limit(ctx, organization)
	if err != nil || limit == domain.Unlimited {
		return err
	}
	now := q.now().UTC()
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	key := fmt.Sprintf("quota:tokens:%s:%s", organization, month.Format("2006-01"))
	count, err := q.count(ctx, key, limit, organization, month)
	if err != nil {
		return err
	}
	if count == quotaFull {
		return domain.Refuse(domain.CodeTierLimit, "the organization has had all the tokens of this month").
			With("limit", limit).With(detailResetAt, month.AddDate(0, 1, 0))
	}
	return nil
}

func (q *tokenQuota) count(ctx context.Context, key string, limit int, organization domain.OrganizationID, month time.Time) (int, error) {
	count, err := countUnlessFull.Run(ctx, q.redis, []string{key}, limit).Int()
	if err == nil && count == quotaUncounted {
		count, err = q.start(ctx, key, limit, organization, month)
	}
	if err != nil {
		return q.countHere(ctx, key, limit, organization, month)
	}
	return count, nil
}

// start takes the count up from the read model. Of several that do so at once
// the first wins and all count on from there.
func (q *tokenQuota) start(ctx context.Context, key string, limit int, organization domain.OrganizationID, month time.Time) (int, error) {
	issued, err := q.queries.TokensIssued(ctx, organization, month, month.AddDate(0, 1, -1))
	if err != nil {
		return 0, err
	}
	const grace = 24 * time.Hour
	if err := q.redis.SetNX(ctx, key, issued, time.Until(month.AddDate(0, 1, 0))+grace).Err(); err != nil {
		return 0, err
	}
	return countUnlessFull.Run(ctx, q.redis, []string{key}, limit).Int()
}

func (q *tokenQuota) countHere(ctx context.Context, key string, limit int, organization domain.OrganizationID, month time.Time) (int, error) {
	q.mu.Lock()
	_, known := q.local[key]
	q.mu.Unlock()
	var issued int64
	if !known {
		var err error
		if issued, err = q.queries.TokensIssued(ctx, organization, month, month.AddDate(0, 1, -1)); err != nil {
			return 0, err
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.local[key] = max(q.local[key], int(issued))
	if q.local[key] >= limit {
		return quotaFull, nil
	}
	q.local[key]++
	return q.local[key], nil
}
