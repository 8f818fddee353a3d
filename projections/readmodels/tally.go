package readmodels

import (
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sentryagent/agentidp/eventstore"
)

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
