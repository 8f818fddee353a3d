package history

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// Moment is a point in the ledger's history: a time, or the position of an
// event. The zero Moment is now.
type Moment struct {
	Time     time.Time
	Position eventstore.Position
}

// ParseMoment reads a time of RFC 3339 or a position; "" is now. A time stands
// for the whole millisecond that it names unless it is written more finely:
// that is how exactly the API tells when an event was.
func ParseMoment(text string) (Moment, error) {
	if text == "" {
		return Moment{}, nil
	}
	if position, err := strconv.ParseUint(text, 10, 63); err == nil && position > 0 {
		return Moment{Position: eventstore.Position(position)}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, strings.ToUpper(text))
	if err != nil {
		return Moment{}, domain.Invalid("at", "must be a time such as 2026-11-23T07:21:00Z (RFC 3339) or the position of an event", nil)
	}
	if at.Equal(at.Truncate(time.Millisecond)) {
		at = at.Add(time.Millisecond - time.Microsecond)
	}
	return Moment{Time: at.UTC()}, nil
}

// instant is a moment that has been looked up: events up to the position
// count, or, where that is 0, those recorded by the time.
type instant struct {
	time     time.Time
	position eventstore.Position
	places   bool // see [Source]
}

func (i instant) includes(e eventstore.Event) bool {
	if i.position > 0 {
		return e.Position <= i.position
	}
	return !e.RecordedAt.After(i.time)
}

// instant looks a moment up. Now is the newest event there is, at this time.
func (h *History) instant(ctx context.Context, m Moment) (instant, error) {
	now := h.source.Now().UTC()
	switch {
	case m.Position > 0 && h.source.Places:
		return instant{}, domain.Invalid("at", "must be a time: at which positions of the ledger its events are is not known here", nil)
	case m.Position > 0:
		return h.instantAt(ctx, m.Position)
	case m.Time.IsZero():
		head, err := h.source.Events.Head(ctx)
		if err != nil {
			return instant{}, fmt.Errorf("look for the newest event: %w", err)
		}
		return instant{time: now, position: head, places: h.source.Places}, nil
	case m.Time.Truncate(time.Millisecond).After(now):
		return instant{}, domain.Invalid("at", h.source.Late, now)
	}
	return instant{time: m.Time, places: h.source.Places}, nil
}

// instantAt is when the event at a position was recorded.
func (h *History) instantAt(ctx context.Context, position eventstore.Position) (instant, error) {
	for event, err := range h.source.Events.ReadAll(ctx, position-1, eventstore.Filter{}) {
		if err != nil {
			return instant{}, fmt.Errorf("read position %d: %w", position, err)
		}
		if event.Position == position {
			return instant{time: event.RecordedAt.UTC(), position: position}, nil
		}
		break
	}
	return instant{}, domain.Invalid("at", "is the position of no event", nil)
}
