package move

import (
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
)

// Difference is where a target is no copy of its source: the first place. Index
// counts the events of the ledger from 0 and is -1 where that is not known. The
// event is the source's, or the target's where the source has none there.
type Difference struct {
	Index    int64     `json:"index"`
	EventID  uuid.UUID `json:"eventId"`
	Stream   string    `json:"stream"`
	Revision int64     `json:"revision"`
	Detail   string    `json:"detail"`

	short bool // one of the ledgers ends too soon, and that is all
}

func (d *Difference) Error() string {
	place := "the target"
	if d.Index >= 0 {
		place = fmt.Sprintf("the target, at event %d of the ledger,", d.Index)
	}
	return fmt.Sprintf("%s is no copy of the source: event %s, revision %d of %s: %s", place, d.EventID, d.Revision, d.Stream, d.Detail)
}

// ends is a difference by the length alone.
func ends(index int64, e *eventstore.Event, detail string) *Difference {
	d := differs(index, e, "%s", detail)
	d.short = true
	return d
}

func differs(index int64, e *eventstore.Event, format string, args ...any) *Difference {
	return &Difference{Index: index, EventID: e.ID, Stream: e.Stream, Revision: e.Revision, Detail: fmt.Sprintf(format, args...)}
}

// different compares an event with its copy; their positions are their engines' own.
func different(index int64, source, target *eventstore.Event) error {
	switch {
	case source.ID != target.ID || source.Stream != target.Stream || source.Revision != target.Revision:
		return differs(index, source, "the target has event %s there, revision %d of %s", target.ID, target.Revision, target.Stream)
	case source.Hash != target.Hash || string(source.Record) != string(target.Record):
		return differs(index, source, "the records are not the same: the source's hashes to %s, the target's to %s",
			eventstore.HashOf(source.Record), eventstore.HashOf(target.Record))
	case source.Type != target.Type || source.Organization != target.Organization || !source.RecordedAt.Equal(target.RecordedAt):
		return differs(index, source, "the records are the same, but not what the engines know of them")
	}
	return nil
}

// confirm makes sure that what the target sealed is what the source has.
func (r *copyRun) confirm(appended eventstore.Appended) error {
	if last := &r.events[len(r.events)-1]; appended.Revision != last.Revision || appended.Hash != last.Hash {
		return differs(-1, last, "the target sealed it as revision %d with hash %s, the source has hash %s", appended.Revision, appended.Hash, last.Hash)
	}
	return nil
}

// taken reports that an append was refused because other events are there.
func taken(err error) bool {
	var conflict *eventstore.ConflictError
	return errors.As(err, &conflict) || errors.Is(err, eventstore.ErrDuplicateID)
}

// refusal is what an error means that the target answered the first of the runs
// with: that somebody else has been writing there, for one.
func refusal(runs []copyRun, err error) error {
	e := &runs[0].events[0]
	if taken(err) {
		return differs(-1, e, "the target refuses it, somebody else has written there: %v", err)
	}
	return fmt.Errorf("append event %s, revision %d of %s: %w", e.ID, e.Revision, e.Stream, err)
}
