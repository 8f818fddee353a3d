package readmodels

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/sentryagent/agentidp/eventstore"
)

// The audit trail where the ledger is in another database than its index: the
// index tells the places, the store what is there.
const (
	selectAuditPlaces = `SELECT a.agent_id, a.outcome, a.on_behalf_of, a.delegation, e.position, e.stream, e.revision FROM (%s) a
		JOIN audit_events e ON e.position = a.position ORDER BY a.position DESC`

	selectAuditPlace = `SELECT a.agent_id, a.outcome, a.on_behalf_of, a.delegation, a.position, a.stream, a.revision FROM audit_events a`
)

// identify adds what finds an event by its id. The index of the trail has none
// by id, but by time, and ids of version 7 tell when they were minted: within a
// minute of when the event was recorded. Events have no other ids.
func identify(c *conditions, id uuid.UUID) {
	const apart = time.Minute
	seconds, nanoseconds := id.Time().UnixTime()
	minted := time.Unix(seconds, nanoseconds)
	c.add("a.event_id = ?", id)
	c.add("a.recorded_at >= ?", minted.Add(-apart))
	c.add("a.recorded_at <= ?", minted.Add(apart))
}

func scanAuditPlace(row pgx.CollectableRow) (a AuditEvent, err error) {
	var about auditAbout
	err = row.Scan(append(about.fields(&a), (*uint64)(&a.Position), &a.Stream, &a.Revision)...)
	about.fill(&a)
	return a, err
}

// elsewhere finds one event.
func (q *Queries) elsewhere(ctx context.Context, tenant Tenant, c conditions) (AuditEvent, error) {
	found, err := one(ctx, q, tenant, scanAuditPlace, selectAuditPlace+c.where(), c.args...)
	if err != nil {
		return AuditEvent{}, err
	}
	events := []AuditEvent{found}
	err = q.tell(ctx, events)
	return events[0], err
}

// tell fills in what the ledger says of events, unless that is known already.
func (q *Queries) tell(ctx context.Context, events []AuditEvent) error {
	if q.ledger == nil {
		return nil
	}
	const atOnce = 16
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range events {
		group.Go(func() error { return tellOne(ctx, q.ledger, &events[i]) })
	}
	return group.Wait()
}

func tellOne(ctx context.Context, store eventstore.Store, a *AuditEvent) error {
	event, found, err := eventstore.ReadOne(ctx, store, a.Stream, a.Revision)
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("revision %d of %s is in the audit trail, but not in the ledger", a.Revision, a.Stream)
	}
	event.Position = a.Position
	return a.tell(event)
}
