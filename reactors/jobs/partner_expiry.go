package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
)

// Partners tells, from a read model, which federation partners to look at.
type Partners interface {
	// PartnersToExpire lists partners whose time had run out without that being on
	// record: in the order of their ids, those after one.
	PartnersToExpire(ctx context.Context, by time.Time, after domain.PartnerID, limit int) ([]domain.PartnerID, error)
}

// ExpirePartners puts on record which federation partners have expired, each once.
// Recorded hears of each.
func ExpirePartners(interval time.Duration, partners Partners, l *ledger.Ledger, now func() time.Time, recorded func()) Job {
	return Job{Name: PartnerExpiry, Interval: interval, Run: func(ctx context.Context) (Result, error) {
		const page = 200
		var last domain.PartnerID
		at, expired := now(), 0
		for {
			found, err := partners.PartnersToExpire(ctx, at, last, page)
			if err != nil {
				return Result{}, err
			}
			for _, id := range found {
				outcome, err := l.ChangePartner(ctx, ledger.System(), id, domain.ExpirePartner{At: at})
				if err != nil {
					return Result{}, fmt.Errorf("partner %s: %w", id, err)
				}
				for range outcome.Events {
					recorded()
				}
				expired += len(outcome.Events)
				last = id
			}
			if len(found) < page {
				return Result{Detail: fmt.Sprintf("%d put on record as expired", expired)}, nil
			}
		}
	}}
}
