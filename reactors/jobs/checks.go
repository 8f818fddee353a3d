package jobs

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/domain"
)

// CheckKeys looks whether what is encrypted at rest can be read with the keys
// there are.
func CheckKeys(interval time.Duration, check Judge) Job {
	return judging(KeyCheck, interval, "every sealed key opens under the master key", check)
}

// CheckGuards looks whether the database still refuses what it should: triggers
// that keep the ledger append-only, row-level security, grants. Unguarded names
// what it does not.
func CheckGuards(interval time.Duration, unguarded func(context.Context) ([]string, error)) Job {
	return Job{Name: DatabaseGuards, Interval: interval, Run: func(ctx context.Context) (Result, error) {
		found, err := unguarded(ctx)
		if err != nil {
			return Result{}, err
		}
		if len(found) > 0 {
			const most = 5
			names := found[:min(len(found), most)]
			return Result{
				Failed: true, Count: int64(len(found)),
				Detail: fmt.Sprintf("the database guards less than it should (%d: %s): run agentidp migrate, which sets it right, and find out who changed it",
					len(found), strings.Join(names, "; ")),
			}, nil
		}
		return Result{Detail: "triggers, row-level security and grants are as they should be"}, nil
	}}
}

// CheckStreams looks what was done to the ledger's streams by the means of the
// server that they are on, and not undone: done names each.
func CheckStreams(interval time.Duration, done func(context.Context) ([]string, error)) Job {
	return Job{Name: StoreStreams, Interval: interval, Run: func(ctx context.Context) (Result, error) {
		found, err := done(ctx)
		if err != nil {
			return Result{}, err
		}
		if len(found) > 0 {
			const most = 5
			return Result{
				Failed: true, Count: int64(len(found)),
				Detail: fmt.Sprintf("somebody laid hands on %d of the ledger's streams in the event store: let no scavenge run, and see docs/runbooks/broken-chain.md: %s",
					len(found), strings.Join(found[:min(len(found), most)], "; ")),
			}, nil
		}
		return Result{Detail: "no stream of the ledger was interfered with"}, nil
	}}
}

// RotationRules is what secrets are held to.
type RotationRules struct {
	MaxAge time.Duration // of a key that signs tokens
	Grace  time.Duration // in which an expired credential must have been put on record
}

// CheckRotation looks whether a key has signed for too long, and whether
// credentials outlive their time. Since is when the oldest key came into use
// that signs.
func CheckRotation(interval time.Duration, rules RotationRules, since func() time.Time, credentials Credentials, now func() time.Time) Job {
	return Job{Name: SecretsRotation, Interval: interval, Run: func(ctx context.Context) (Result, error) {
		at := now()
		if age := at.Sub(since()); age > rules.MaxAge {
			return Result{Failed: true, Detail: fmt.Sprintf("a signing key is %d days old, more than %d", days(age), days(rules.MaxAge))}, nil
		}
		agents, err := credentials.AgentsWithExpired(ctx, at.Add(-rules.Grace), domain.AgentID{}, 1)
		if err != nil {
			return Result{}, err
		}
		if len(agents) > 0 {
			return Result{Failed: true, Detail: "an expired credential has not been put on record"}, nil
		}
		return Result{Detail: fmt.Sprintf("no signing key is older than %d days, no credential outlives its time", days(rules.MaxAge))}, nil
	}}
}

func days(d time.Duration) int { return int(d / (24 * time.Hour)) }
