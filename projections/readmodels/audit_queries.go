package readmodels

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// AuditEvent is an event of the audit trail.
type AuditEvent struct {
	EventID        uuid.UUID
	Timestamp      time.Time
	Action         domain.Type
	Outcome        domain.AuditOutcome
	AgentID        domain.AgentID        // zero when about none
	OrganizationID domain.OrganizationID // zero when nobody's
	Actor          eventstore.Actor
	Causation      uuid.UUID           // the issuance of the token it was done with; uuid.Nil when with none
	OnBehalfOf     domain.AgentID      // whose authority it was done with; zero when the actor's own
	Delegation     domain.DelegationID // by which that was lent
	Request        eventstore.Request  // zero when no request led to it
	Stream         string
	Revision       int64
	Position       eventstore.Position
	PreviousHash   eventstore.Hash
	Hash           eventstore.Hash
	Metadata       json.RawMessage // what happened, without verifiers of secrets
	Record         []byte          // the bytes that Hash is of
}

// The index finds the events, the ledger says what they are.
const (
	auditPage   = `SELECT a.position, a.agent_id, a.outcome, a.on_behalf_of, a.delegation FROM `
	newestAudit = ` ORDER BY a.position DESC`

	selectAudit = `SELECT a.agent_id, a.outcome, a.on_behalf_of, a.delegation, e.position, e.record, e.hash FROM (%s) a
		JOIN events e ON e.position = a.position ORDER BY a.position DESC`

	selectAuditEvent = `SELECT a.agent_id, a.outcome, a.on_behalf_of, a.delegation, e.position, e.record, e.hash
		FROM events e JOIN audit_events a ON a.position = e.position`
)

func scanAuditEvent(row pgx.CollectableRow) (a AuditEvent, err error) {
	var about auditAbout
	var event eventstore.Event
	var hash []byte
	if err := row.Scan(append(about.fields(&a), (*uint64)(&event.Position), &event.Record, &hash)...); err != nil {
		return a, err
	}
	copy(event.Hash[:], hash)
	about.fill(&a)
	return a, a.fill(event)
}

// auditAbout is what the index knows of an event that its record does not say.
type auditAbout struct{ agent, onBehalfOf, delegation *uuid.UUID }

func (b *auditAbout) fields(a *AuditEvent) []any {
	return []any{&b.agent, (*string)(&a.Outcome), &b.onBehalfOf, &b.delegation}
}

func (b *auditAbout) fill(a *AuditEvent) {
	a.AgentID.UUID, a.OnBehalfOf.UUID, a.Delegation.UUID = valueOf(b.agent), valueOf(b.onBehalfOf), valueOf(b.delegation)
}

// fill takes from an event what the ledger says of it.
func (a *AuditEvent) fill(event eventstore.Event) error {
	record, err := event.Decode()
	if err != nil {
		return fmt.Errorf("event at position %d: %w", event.Position, err)
	}
	a.EventID, a.Timestamp, a.Action = record.ID, record.Time, domain.Type(record.Type)
	a.OrganizationID.UUID, a.Actor, a.Request, a.Causation = record.Organization, record.Actor, record.Request, record.Causation
	a.Record, a.Hash = event.Record, event.Hash
	a.Stream, a.Revision, a.Position, a.PreviousHash = record.Stream, record.Revision, event.Position, record.Prev
	a.Metadata, err = withoutVerifier(record.Data)
	return err
}

// withoutVerifier is an event's data less what recognizes a secret.
func withoutVerifier(data json.RawMessage) (json.RawMessage, error) {
	const field = "verifier"
	if !bytes.Contains(data, []byte(field)) && !bytes.Contains(data, []byte(`\u`)) {
		return data, nil // as nearly all events: the name does not occur, nor can it be hidden behind escapes
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	if _, has := fields[field]; !has {
		return data, nil
	}
	delete(fields, field)
	return json.Marshal(fields)
}

// AuditEvent finds an event of the trail by its id. The error is [ErrNotFound]
// when the tenant has none with this id.
func (q *Queries) AuditEvent(ctx context.Context, tenant Tenant, id uuid.UUID) (AuditEvent, error) {
	var c conditions
	if q.ledger != nil {
		identify(&c, id)
	} else {
		c.add("e.id = ?", id)
	}
	c.tenant(tenant, "a.organization_id")
	if q.ledger != nil {
		return q.elsewhere(ctx, tenant, c)
	}
	return one(ctx, q, tenant, scanAuditEvent, selectAuditEvent+c.where(), c.args...)
}

// AuditFilter chooses events. Zero fields choose all.
type AuditFilter struct {
	AgentID domain.AgentID
	// Actor did it: an agent, or every actor of a kind.
	Actor      domain.AgentID
	ActorKind  string
	OnBehalfOf domain.AgentID
	Action     domain.Type
	Outcome    domain.AuditOutcome
	From, To   time.Time // both included
	NotBefore  time.Time // the tenant's retention

	Page         Page
	Cursor       string // of an earlier list; then Page.Number does not count
	WithoutTotal bool   // spares counting
}

// NamesAnAgent reports whether the filter is for what one agent has to do with.
func (f AuditFilter) NamesAnAgent() bool {
	return !f.AgentID.IsZero() || !f.Actor.IsZero() || !f.OnBehalfOf.IsZero()
}

// AuditList is a part of the trail, newest first.
type AuditList struct {
	List[AuditEvent]
	NextCursor string // where to go on; "" at the end
}

// AuditEvents lists events of the trail. The error is [ErrBadCursor] for a
// cursor that is not from NextCursor.
func (q *Queries) AuditEvents(ctx context.Context, tenant Tenant, f AuditFilter) (found AuditList, err error) {
	c := f.conditions(tenant)
	batch := &pgx.Batch{}
	batch.Queue(enterToSearch, q.role(tenant), tenant.setting())
	if !f.WithoutTotal {
		sql, args := f.total(tenant)
		batch.Queue(sql, args...).QueryRow(func(row pgx.Row) error { return row.Scan(&found.Total) })
	}
	offset := f.Page.offset()
	if f.Cursor != "" {
		before, err := decodeCursor(f.Cursor)
		if err != nil {
			return found, err
		}
		c.add("a.position < ?", before)
		offset = 0
	}
	limit := f.Page.limit()
	args := slices.Concat(c.args, []any{limit + 1, offset}) // one more shows whether there is more
	page := fmt.Sprintf("%s%s%s%s LIMIT $%d OFFSET $%d", auditPage, f.from(), c.where(), newestAudit, len(args)-1, len(args))
	sql, scan := fmt.Sprintf(selectAudit, page), scanAuditEvent
	if q.ledger != nil {
		sql, scan = fmt.Sprintf(selectAuditPlaces, page), scanAuditPlace
	}
	batch.Queue(sql, args...).Query(func(rows pgx.Rows) (err error) {
		found.Items, err = pgx.CollectRows(rows, scan)
		return err
	})
	if err := q.ask(ctx, batch); err != nil {
		return AuditList{}, err
	}
	if err := q.fillTrail(ctx, found.Items); err != nil {
		return AuditList{}, err
	}
	if len(found.Items) > limit {
		found.Items = found.Items[:limit]
		found.NextCursor = encodeCursor(found.Items[limit-1].Position)
	}
	return found, nil
}

// conditions choose rows of audit_events.
func (f AuditFilter) conditions(tenant Tenant) (c conditions) {
	if !f.Actor.IsZero() {
		c.args = append(c.args, f.Actor.UUID) // $1, see [AuditFilter.from]
	}
	f.subject(&c, tenant)
	if from := f.since(); !from.IsZero() {
		c.add("a.recorded_at >= ?", from)
	}
	if !f.To.IsZero() {
		c.add("a.recorded_at <= ?", f.To)
	}
	return c
}

// from is where the rows are. Those of one actor are found by two indexes: what
// it did, and the issuances of its own tokens.
func (f AuditFilter) from() string {
	if f.Actor.IsZero() {
		return `audit_events a`
	}
	return `(SELECT * FROM audit_events WHERE actor_id = $1 AND action <> 'token.issued'
		UNION ALL SELECT * FROM audit_events WHERE agent_id = $1 AND actor_id = $1 AND action = 'token.issued') a`
}

// subject is what of the filter has nothing to do with time.
func (f AuditFilter) subject(c *conditions, tenant Tenant) {
	c.tenant(tenant, "a.organization_id")
	if !f.AgentID.IsZero() {
		c.add("a.agent_id = ?", f.AgentID.UUID)
	}
	if f.ActorKind != "" {
		c.add("a.actor_kind = ?", f.ActorKind)
		if f.ActorKind != "agent" {
			c.add("a.actor_kind <> 'agent'") // true anyway, and what the index of the rare ones asks for
		}
	}
	if !f.OnBehalfOf.IsZero() {
		c.add("a.on_behalf_of = ?", f.OnBehalfOf.UUID)
	}
	if f.Action != "" {
		c.add("a.action = ?", string(f.Action))
	}
	if f.Outcome != "" {
		c.add("a.outcome = ?", string(f.Outcome))
	}
	const common = "token.issued"
	if f.Action != "" && f.Action != common || f.Outcome == domain.AuditFailure {
		c.add("a.action <> '" + common + "'") // true anyway, and what the indexes of the rare ones ask for
	}
}

// since is the later of the bounds from below.
func (f AuditFilter) since() time.Time {
	if f.NotBefore.After(f.From) {
		return f.NotBefore
	}
	return f.From
}

// The audit trail where the ledger is in another database than its index: the
// index finds the places, the store says what is there.
const (
	selectAuditPlaces = `SELECT a.agent_id, a.outcome, a.on_behalf_of, a.delegation, e.position, e.stream, e.revision FROM (%s) a
		JOIN audit_events e ON e.position = a.position ORDER BY a.position DESC`

	selectAuditPlace = `SELECT a.agent_id, a.outcome, a.on_behalf_of, a.delegation, a.position, a.stream, a.revision FROM audit_events a`
)

// identify adds what finds an event by its id. The index of the trail has none
// by id, but by time, and ids of version 7 say when they were minted: within a
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
	err = q.fillTrail(ctx, events)
	return events[0], err
}

// fillTrail reads from the ledger what it says of events, unless that is known already.
func (q *Queries) fillTrail(ctx context.Context, events []AuditEvent) error {
	if q.ledger == nil {
		return nil
	}
	const atOnce = 16
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range events {
		group.Go(func() error { return fillOne(ctx, q.ledger, &events[i]) })
	}
	return group.Wait()
}

func fillOne(ctx context.Context, store eventstore.Store, a *AuditEvent) error {
	event, found, err := eventstore.ReadOne(ctx, store, a.Stream, a.Revision)
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("revision %d of %s is in the audit trail, but not in the ledger", a.Revision, a.Stream)
	}
	event.Position = a.Position
	return a.fill(event)
}
