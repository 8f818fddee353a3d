package verify

import (
	"context"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
)

// diagnose says what was done to the ledger. suspect is what the first pass
// stopped by; it stands where nothing better is found.
func (ev *Evidence) diagnose(ctx context.Context, suspect *Finding) (*Finding, error) {
	t, err := ev.gather(ctx)
	if err != nil {
		return nil, fmt.Errorf("diagnose: %w", err)
	}
	found, err := t.conclude(ctx)
	if err != nil {
		return nil, fmt.Errorf("diagnose: %w", err)
	}
	if found == nil {
		found = suspect
	}
	if found.Chain == nil {
		if found.Chain = suspect.Chain; t.chain != nil {
			found.Chain = t.chain.found
		}
	}
	return found, nil
}

// conclude goes by the strongest evidence there is at the place where events
// and log part: the log as far as its entries have a root that was signed; else
// the checkpoints themselves; else the log as it stands.
func (t *trail) conclude(ctx context.Context) (*Finding, error) {
	parted := t.parted()
	switch {
	case parted >= 0 && parted < t.authentic:
		return t.byLogOrChain(ctx, parted)
	case len(t.against) > 0:
		return t.byCheckpoints(ctx)
	case parted >= 0 && parted < t.agreed && t.chain == nil:
		return t.alteredLog(parted), nil
	case parted >= 0 && parted >= t.agreed:
		return t.byLogOrChain(ctx, parted)
	case t.chain != nil:
		return t.byChain(ctx)
	}
	return nil, nil
}

// parted is the first index where events and log differ, -1 where they do not.
func (t *trail) parted() int64 {
	switch {
	case t.diverged != nil:
		return t.diverged.index
	case t.events < int64(len(t.logged)):
		return t.events
	}
	return -1
}

func (t *trail) byLogOrChain(ctx context.Context, parted int64) (*Finding, error) {
	if t.chain != nil && t.chain.index < parted {
		return t.byChain(ctx)
	}
	return t.byLog(parted), nil
}

// byLog compares the events with the entries from the first difference on.
func (t *trail) byLog(parted int64) *Finding {
	if t.diverged == nil {
		return t.truncated(parted)
	}
	d := *t.diverged
	var missing int64
	for _, there := range t.present {
		if !there {
			missing++
		}
	}
	if t.nothingSurvives() {
		return t.withLogged(t.tail(d))
	}
	_, known := t.known[eventstore.HashOf(d.event.Record)]
	there := t.present[d.index]
	shift := t.survivor[1] - t.survivor[0] // how far the next event that survived has moved up
	switch {
	case missing == 0 && t.unknown == 0, known && there:
		return t.withLogged(d.finding(ReorderedEvents,
			"The events are the ones that were logged, in another order: another event should stand here first, and comes later."))
	case !known && there, !known && shift < 0:
		return t.withLogged(d.finding(InsertedEvent,
			"This event was put in afterwards: the log does not have it, and has what comes after it."))
	case known || shift > 0:
		return t.withLogged(t.removed(d, missing))
	}
	return t.withLogged(d.finding(AlteredEvent,
		"This event is not the one that was logged in this place: it was changed, or another was put there%s.", t.resealed()))
}

// nothingSurvives: from where they part on, next to no event is one that was
// logged, and they are not all of one stream, whose chain was sealed again.
func (t *trail) nothingSurvives() bool {
	const nearly = 20
	rest := int64(len(t.logged)) - t.diverged.index
	var survivors int64
	for _, there := range t.present[t.diverged.index:] {
		if there {
			survivors++
		}
	}
	if survivors == 0 {
		return t.streams || t.events < int64(len(t.logged))
	}
	return t.streams && survivors*nearly < rest && t.diverged.index*nearly < rest
}

func (t *trail) removed(d place, missing int64) *Finding {
	if !t.links && t.unknown == 0 {
		return d.finding(RemovedStream, "%s, and yet every chain holds: a whole stream, or the newest events of one, "+
			"was taken out. The event named here stands where the first of them was.", gone(missing))
	}
	return d.finding(RemovedEvent, "%s from among others. The event named here stands where the first of them was%s.", gone(missing), t.lost())
}

func gone(events int64) string {
	if events == 1 {
		return "An event that was logged is gone"
	}
	return fmt.Sprintf("%d events that were logged are gone", events)
}

// lost names the removed event by the chain that lacks it.
func (t *trail) lost() string {
	if t.chain == nil || t.chain.found.Kind != eventstore.BreakMissing {
		return ""
	}
	return fmt.Sprintf("; revision %d of %s is missing", t.chain.next, t.chain.found.Stream)
}

func (t *trail) resealed() string {
	if t.strays > 1 && !t.streams {
		return fmt.Sprintf("; %d events of its stream are not the logged ones, as when the rest of its chain is sealed again", t.strays)
	}
	return ""
}

// tail: from d on nothing is what was logged.
func (t *trail) tail(d place) *Finding {
	const nearly = 10
	newest := t.newest(t.Checkpoints)
	later := recordedAfter(t.latest, newest)
	length := int64(len(t.logged))
	switch {
	case d.index == 0, !later && d.index*nearly < length:
		return d.finding(RewrittenLedger,
			"From this event on nothing is what was logged: the ledger was written anew by somebody who cannot sign for it.")
	case later || t.events >= length:
		return t.restored(d)
	}
	return d.finding(TruncatedTail,
		"From this place on the logged events are gone and others stand in their place, fewer than there were: the tail was cut off and written anew.")
}

func (t *trail) restored(d place) *Finding {
	return d.finding(RestoredBackup, "Up to here the ledger is what was signed; from this event on it went another way than was signed later. "+
		"So it looks when a backup is restored and written on, or when everything from here on is written anew.")
}

func (t *trail) truncated(index int64) *Finding {
	f := &Finding{Kind: TruncatedTail, Index: index, Detail: fmt.Sprintf("The ledger ends after %d events although more were recorded: the newest are gone, "+
		"by deletion or because an old backup was restored. What is there is proven up to %d events.", t.events, max(t.agreed, t.authentic))}
	if t.Options.Dense {
		f.Position = t.last + 1
	}
	return t.withLogged(f)
}

func (t *trail) alteredLog(index int64) *Finding {
	f := &Finding{Kind: AlteredLog, Index: index}
	if t.diverged != nil {
		f = t.diverged.finding(AlteredLog, "")
	}
	f.Detail = "The events are what was signed, but the entries of the transparency log are not theirs from this index on: the log's tables were changed. Derive it again."
	return t.withLogged(f)
}

// withLogged adds the hash that the log has in the place of a finding.
func (t *trail) withLogged(f *Finding) *Finding {
	if f.Index >= 0 && f.Index < int64(len(t.logged)) {
		f.Logged = &t.logged[f.Index]
	}
	return f
}

// newest is the largest checkpoint; those kept outside go first.
func (t *trail) newest(of []Checkpoint) (newest Checkpoint) {
	for _, c := range of {
		if c.Outside == newest.Outside && c.Size >= newest.Size || c.Outside && !newest.Outside {
			newest = c
		}
	}
	return newest
}

// recordedAfter: an event of that time came after a checkpoint was signed. The
// time of those kept in files is in whole seconds.
func recordedAfter(at time.Time, c Checkpoint) bool {
	return !c.SignedAt.IsZero() && at.After(c.SignedAt.Add(time.Second))
}
