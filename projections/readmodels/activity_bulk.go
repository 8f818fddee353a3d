package readmodels

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
)

// addIssued is countIssued for what has been counted already.
const addIssued = `INSERT INTO token_usage AS u (organization_id, day, count, changed_position)
	SELECT * FROM unnest($1::uuid[], $2::date[], $3::bigint[], $4::bigint[])
	ON CONFLICT (organization_id, day) DO UPDATE
		SET (count, changed_position) = (u.count + excluded.count, excluded.changed_position)`

// sumActivity is applyActivity for events that are all news: they are counted here.
func sumActivity(ctx context.Context, tx pgx.Tx, events []follow.Event) error {
	last, err := lastAuth(events)
	if err != nil {
		return err
	}
	issued := make(tally[usageDay])
	for i := range events {
		issued.count(usageDay{events[i].Organization, dayNumber(events[i].Time)}, events[i].Position)
	}
	days, counts, newest := issued.columns()
	batch := &pgx.Batch{}
	queueLastAuth(batch, last)
	batch.Queue(addIssued,
		column(days, func(d usageDay) pgtype.UUID { return dbID(d.organization) }),
		column(days, func(d usageDay) time.Time { return dayStart(d.day) }), counts, newest)
	return tx.SendBatch(ctx, batch).Close()
}

// usageDay is what issuances are counted by.
type usageDay struct {
	organization uuid.UUID
	day          int64
}

// tally counts events by a key, and knows the newest of each.
type tally[K comparable] map[K]*counted

type counted struct {
	count  int64
	newest eventstore.Position
}

func (t tally[K]) count(key K, position eventstore.Position) {
	c := t[key]
	if c == nil {
		c = &counted{}
		t[key] = c
	}
	c.count++
	c.newest = position
}

// columns are the keys, and for each of them its count and newest position.
func (t tally[K]) columns() (keys []K, counts, newest pgtype.FlatArray[int64]) {
	keys = slices.Collect(maps.Keys(t))
	return keys, column(keys, func(k K) int64 { return t[k].count }), column(keys, func(k K) int64 { return int64(t[k].newest) })
}

// Days are numbered from 1970 on, in UTC.

const secondsADay = 24 * 60 * 60

func dayNumber(t time.Time) int64 { return t.Unix() / secondsADay }

func dayStart(number int64) time.Time { return time.Unix(number*secondsADay, 0).UTC() }
