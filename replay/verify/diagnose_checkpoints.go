package verify

import (
	"context"

	"github.com/sentryagent/agentidp/eventstore"
)

// byCheckpoints: the log was made to fit the events, or ends with them, and
// checkpoints say otherwise. The largest that the events agree with bounds the
// damage from below.
func (t *trail) byCheckpoints(ctx context.Context) (*Finding, error) {
	if t.chain != nil && t.chain.index >= t.agreed {
		return t.byChain(ctx)
	}
	shorter, inside := true, false
	for _, c := range t.against {
		shorter = shorter && c.Size > t.events
		inside = inside || c.Size <= t.events && !c.Outside
	}
	newest := t.newest(t.against)
	late := func(e *eventstore.Event) bool { return recordedAfter(e.RecordedAt, newest) }
	if t.agreed > 0 {
		found, err := t.find(ctx, t.agreed, late)
		if err != nil {
			return nil, err
		}
		if found != nil && (shorter || found.index < newest.Size) {
			return t.restored(*found), nil
		}
	}
	if shorter {
		return t.truncated(t.events), nil
	}
	first, err := t.find(ctx, t.agreed, func(*eventstore.Event) bool { return true })
	if err != nil || first == nil {
		return nil, err
	}
	switch {
	case t.agreed == 0:
		return first.finding(RewrittenLedger,
			"The ledger agrees with no checkpoint that was signed: it was written anew from the beginning, by somebody who cannot sign for it."), nil
	case !inside:
		return t.restored(*first), nil
	}
	return first.finding(Undetermined, "Up to here the ledger is what was signed with %d entries; somewhere from this event on it is not what was signed with %d. "+
		"The log was changed to fit, so what was done cannot be told.", t.agreed, newest.Size), nil
}

// byChain goes by what the chains show: there is no better witness.
func (t *trail) byChain(ctx context.Context) (*Finding, error) {
	c := t.chain
	kind := ofBreak(c.found.Kind)
	switch parted := t.parted(); c.found.Kind {
	case eventstore.BreakGap, eventstore.BreakOrder:
		credible := len(t.against) == 0 || c.index < t.authentic // else the log was made to fit
		if credible && c.index < int64(len(t.logged)) && (parted < 0 || c.index < parted) {
			kind = AlteredEvent // it is where it was logged, so only its position was changed
		}
	case eventstore.BreakMissing:
		comesLater, err := t.find(ctx, c.index+1, func(e *eventstore.Event) bool {
			return e.Stream == c.event.Stream && e.Revision == c.next
		})
		if err != nil {
			return nil, err
		}
		if comesLater != nil {
			kind = ReorderedEvents
		}
	}
	f := c.finding(kind, "By its chain: %s.", c.found.Detail)
	f.Chain = c.found
	return t.withLogged(f), nil
}

// ofBreak is what was most likely done where a chain is broken.
func ofBreak(kind eventstore.BreakKind) Kind {
	switch kind {
	case eventstore.BreakMissing, eventstore.BreakGap:
		return RemovedEvent
	case eventstore.BreakRepeated:
		return InsertedEvent
	case eventstore.BreakOrder:
		return ReorderedEvents
	}
	return AlteredEvent
}
