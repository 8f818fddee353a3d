package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
)

// ExpiresSoon is how long before its expiry a credential is about to expire.
const ExpiresSoon = 7 * 24 * time.Hour

// Credentials tells, from a read model, which credentials to look at.
type Credentials interface {
	// AgentsWithExpired lists agents that have active credentials whose time had
	// run out: in the order of their ids, those after one.
	AgentsWithExpired(ctx context.Context, by time.Time, after domain.AgentID, limit int) ([]domain.AgentID, error)
	// CredentialsExpiring counts active credentials whose time runs out in (from, to].
	CredentialsExpiring(ctx context.Context, from, to time.Time) (int64, error)
}

// ExpireCredentials puts on record which credentials have expired, and counts
// those that are about to.
func ExpireCredentials(interval time.Duration, credentials Credentials, l *ledger.Ledger, now func() time.Time) Job {
	return Job{Name: CredentialExpiry, Interval: interval, Run: func(ctx context.Context) (Result, error) {
		at := now()
		expired, err := expire(ctx, credentials, l, at)
		if err != nil {
			return Result{}, err
		}
		soon, err := credentials.CredentialsExpiring(ctx, at, at.Add(ExpiresSoon))
		return Result{Count: soon, Detail: fmt.Sprintf("%d put on record as expired, %d expire within 7 days", expired, soon)}, err
	}}
}

// expire asks each agent in turn; what the read model has not seen yet, the
// aggregate knows.
func expire(ctx context.Context, credentials Credentials, l *ledger.Ledger, at time.Time) (expired int, err error) {
	const page = 200
	var last domain.AgentID
	for {
		agents, err := credentials.AgentsWithExpired(ctx, at, last, page)
		if err != nil {
			return expired, err
		}
		for _, id := range agents {
			outcome, err := l.ExpireCredentials(ctx, ledger.System(), id, domain.ExpireCredentials{At: at})
			if err != nil {
				return expired, fmt.Errorf("agent %s: %w", id, err)
			}
			expired += len(outcome.Events)
			last = id
		}
		if len(agents) < page {
			return expired, nil
		}
	}
}
