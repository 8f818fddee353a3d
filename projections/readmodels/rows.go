package readmodels

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
)

// Read models are written with one statement per table and batch: arrays go
// in, unnest makes rows of them. (COPY would be little faster and is refused
// on tables with row-level security.)

// column is one field of many rows, as an array to unnest.
func column[R, T any](rows []R, field func(R) T) pgtype.FlatArray[T] {
	values := make(pgtype.FlatArray[T], len(rows))
	for i, row := range rows {
		values[i] = field(row)
	}
	return values
}

// after gives the events that come after a position.
func after(position eventstore.Position, events []follow.Event) []follow.Event {
	i, _ := slices.BinarySearchFunc(events, position+1, func(e follow.Event, p eventstore.Position) int { return cmp.Compare(e.Position, p) })
	return events[i:]
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func timeOrZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// dbID is an id as PostgreSQL takes it fastest; NULL for uuid.Nil.
func dbID(id uuid.UUID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: id != uuid.Nil} }

// joined is how a list of words travels in an array of rows: arrays of arrays
// would have to be of one length. The words of the domain contain no space.
func joined[S ~string](words []S) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(string(w))
	}
	return b.String()
}

func optionalText(b json.RawMessage) *string {
	if len(b) == 0 {
		return nil
	}
	s := string(b)
	return &s
}

func scopesOf(words []string) domain.Scopes {
	scopes := make(domain.Scopes, len(words))
	for i, word := range words {
		scopes[i] = domain.Scope(word)
	}
	return scopes
}

// valueOf is uuid.Nil for NULL.
func valueOf(id *uuid.UUID) uuid.UUID {
	if id == nil {
		return uuid.Nil
	}
	return *id
}
