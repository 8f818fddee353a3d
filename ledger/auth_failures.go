package ledger

import (
	"context"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// What an attacker can make the ledger grow by, per process.
const (
	failureQuiet    = 10 * time.Second // between two records of one client and reason
	failureBurst    = 50               // records per failureWindow over all clients
	failureWindow   = time.Second
	maxFailureKinds = 10_000 // remembered; beyond that failures are only counted together
	maxClientIDSize = 64
)

// failureGate decides which failed authentications are recorded one by one
// and counts the rest.
type failureGate struct {
	mu       sync.Mutex // guards all below
	kinds    map[failureKind]*failureCount
	window   time.Time
	recorded int // in the window
}

type failureKind struct {
	clientID string
	reason   domain.AuthReason
}

type failureCount struct {
	last         time.Time // recorded
	suppressed   int       // since then
	organization domain.OrganizationID
}

func newFailureGate() *failureGate {
	return &failureGate{kinds: map[failureKind]*failureCount{}}
}

// pass reports whether to record this failure now, and how many went
// unrecorded before it.
func (g *failureGate) pass(kind failureKind, organization domain.OrganizationID, now time.Time) (record bool, suppressed int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	count, known := g.kinds[kind]
	if !known {
		if len(g.kinds) >= maxFailureKinds {
			kind = failureKind{clientID: "(many)", reason: kind.reason}
			count, known = g.kinds[kind]
		}
		if !known {
			count = &failureCount{organization: organization}
			g.kinds[kind] = count
		}
	}
	if now.Sub(g.window) >= failureWindow {
		g.window, g.recorded = now, 0
	}
	if now.Sub(count.last) < failureQuiet || g.recorded >= failureBurst {
		count.suppressed++
		return false, 0
	}
	g.recorded++
	suppressed, count.suppressed, count.last = count.suppressed, 0, now
	return true, suppressed
}

// due takes the counts that have waited long enough and forgets idle kinds.
func (g *failureGate) due(now time.Time) []dueFailures {
	g.mu.Lock()
	defer g.mu.Unlock()
	var due []dueFailures
	for kind, count := range g.kinds {
		switch {
		case now.Sub(count.last) < failureQuiet || len(due) == failureBurst:
		case count.suppressed == 0:
			delete(g.kinds, kind)
		default:
			due = append(due, dueFailures{kind, count.organization, count.suppressed})
			count.suppressed, count.last = 0, now
		}
	}
	return due
}

type dueFailures struct {
	kind         failureKind
	organization domain.OrganizationID
	suppressed   int
}

// RecordAuthFailure puts a failed client authentication on record. Repetitions
// of one client and reason within ten seconds are counted, not stored one by
// one, so that an attacker can neither flood the ledger nor touch the victim's
// own stream. Organization is the client's, zero when it is unknown.
func (l *Ledger) RecordAuthFailure(ctx context.Context, origin Origin, organization domain.OrganizationID, clientID string, reason domain.AuthReason) error {
	kind := failureKind{clientID: cut(clientID, maxClientIDSize), reason: reason}
	record, suppressed := l.failures.pass(kind, organization, l.now())
	if !record {
		return nil
	}
	return l.appendAuthFailure(ctx, origin, organization, kind, suppressed)
}

// FlushAuthFailures records the counts of failures that were not recorded one
// by one and have seen no record since. Call it every few seconds, and with
// all set to true before stopping.
func (l *Ledger) FlushAuthFailures(ctx context.Context, all bool) error {
	now := l.now()
	if all {
		now = now.Add(failureQuiet)
	}
	for _, d := range l.failures.due(now) {
		if err := l.appendAuthFailure(ctx, System(), d.organization, d.kind, d.suppressed-1); err != nil {
			return err
		}
	}
	return nil
}

func (l *Ledger) appendAuthFailure(ctx context.Context, origin Origin, organization domain.OrganizationID, kind failureKind, suppressed int) error {
	now := l.now().UTC()
	event, err := draft(origin, organization, domain.AuthFailed{ClientID: kind.clientID, Reason: kind.reason, Suppressed: suppressed}, now)
	if err != nil {
		return err
	}
	_, err = l.store.Append(ctx, domain.SecurityStream(now.Format(time.DateOnly)), eventstore.Any(), event)
	return err
}

func cut(s string, most int) string {
	runes := []rune(s)
	if len(runes) <= most {
		return s
	}
	return string(runes[:most])
}
