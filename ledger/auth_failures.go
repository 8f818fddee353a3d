package ledger

import (
	"context"
	"slices"
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
	maxAddresses    = 5 // told of the failures that were counted together
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
	addresses    []string  // some of theirs, each once
	organization domain.OrganizationID
}

// suppress counts one more failure that is not recorded by itself.
func (c *failureCount) suppress(address string) {
	c.suppressed++
	if address != "" && len(c.addresses) < maxAddresses && !slices.Contains(c.addresses, address) {
		c.addresses = append(c.addresses, address)
	}
}

// take gives what was counted, and counts from zero.
func (c *failureCount) take(kind failureKind, now time.Time) failures {
	taken := failures{kind: kind, organization: c.organization, suppressed: c.suppressed, addresses: c.addresses}
	c.suppressed, c.addresses, c.last = 0, nil, now
	return taken
}

// failures are what one record tells of.
type failures struct {
	kind         failureKind
	organization domain.OrganizationID
	suppressed   int
	addresses    []string // of the suppressed
}

func newFailureGate() *failureGate {
	return &failureGate{kinds: map[failureKind]*failureCount{}}
}

// pass reports whether to record this failure now, under which kind, and what
// went unrecorded before it. Where no more kinds are remembered, failures are
// counted together, under a name and for an organization that is nobody's: what
// others failed at is not told to the one whose failure happens to be recorded.
func (g *failureGate) pass(kind failureKind, organization domain.OrganizationID, address string, now time.Time) (record bool, told failures) {
	g.mu.Lock()
	defer g.mu.Unlock()
	count, known := g.kinds[kind]
	if !known {
		if len(g.kinds) >= maxFailureKinds {
			kind, organization = failureKind{clientID: "(many)", reason: kind.reason}, domain.OrganizationID{}
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
		count.suppress(address)
		return false, failures{}
	}
	g.recorded++
	return true, count.take(kind, now)
}

// due takes the counts that have waited long enough and forgets idle kinds.
func (g *failureGate) due(now time.Time) []failures {
	g.mu.Lock()
	defer g.mu.Unlock()
	var due []failures
	for kind, count := range g.kinds {
		switch {
		case now.Sub(count.last) < failureQuiet || len(due) == failureBurst:
		case count.suppressed == 0:
			delete(g.kinds, kind)
		default:
			due = append(due, count.take(kind, now))
		}
	}
	return due
}

// RecordAuthFailure puts a failed client authentication on record. Repetitions
// of one client and reason within ten seconds are counted, with a few of the
// addresses that they came from, and not stored one by one, so that an attacker can neither flood the ledger nor touch the victim's
// own stream. Organization is the client's, zero when it is unknown.
func (l *Ledger) RecordAuthFailure(ctx context.Context, origin Origin, organization domain.OrganizationID, clientID string, reason domain.AuthReason) error {
	kind := failureKind{clientID: cut(clientID, maxClientIDSize), reason: reason}
	record, told := l.failures.pass(kind, organization, origin.Request.IP, l.now())
	if !record {
		return nil
	}
	return l.appendAuthFailure(ctx, origin, told)
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
		d.suppressed-- // the record is one of them
		if err := l.appendAuthFailure(ctx, System(), d); err != nil {
			return err
		}
	}
	return nil
}

func (l *Ledger) appendAuthFailure(ctx context.Context, origin Origin, told failures) error {
	now := l.now().UTC()
	event, err := draft(origin, told.organization, domain.AuthFailed{
		ClientID: told.kind.clientID, Reason: told.kind.reason, Suppressed: told.suppressed, Addresses: told.addresses,
	}, now)
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
