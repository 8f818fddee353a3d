package replay

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"strings"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// evidence is a ledger, or a tenant's part of it, with all that is to be said
// for it. It can be read as often as needed.
type evidence struct {
	events      func(context.Context) iter.Seq2[[]inspected, error]
	entries     func(context.Context) iter.Seq2[eventstore.Hash, error] // as logged
	size        int64                                                   // how many entries
	checkpoints []Checkpoint                                            // smallest first
	forged      int                                                     // stored checkpoints with a false signature
	options     eventstore.ChainOptions
	tenant      bool                // of streams that tenants share there are only parts
	head        eventstore.Position // events go at least as far; 0 when that is not known
	seen        func(events int)    // told of progress; nil: nobody is
	begins      bool                // events come from the beginning, so that tokens can be held against credentials
	atMost      int                 // credentials to remember for that; 0: all there are
}

// inspected is an event that has been looked at by itself.
type inspected struct {
	eventstore.Event
	reading eventstore.Reading
	deed    deed
}

// inspect looks at an event and at what it does.
func inspect(inspector *eventstore.Inspector, e *eventstore.Event) inspected {
	reading := inspector.Inspect(e)
	return inspected{*e, reading, deedOf(e, &reading)}
}

// inspecting takes readings of events on all processors.
func inspecting(ctx context.Context, events iter.Seq2[eventstore.Event, error]) iter.Seq2[[]inspected, error] {
	const batch = 256
	return ordered(ctx, runtime.GOMAXPROCS(0), paged(events, batch), func() func([]eventstore.Event) ([]inspected, error) {
		var inspector eventstore.Inspector
		return func(events []eventstore.Event) ([]inspected, error) {
			looked := make([]inspected, len(events))
			for i := range events {
				looked[i] = inspect(&inspector, &events[i])
			}
			return looked, nil
		}
	})
}

// follow feeds an event to a chain. What it finds is nil where it is no break
// in this evidence: of a stream that several tenants share, one sees only parts.
func (ev *evidence) follow(chain *eventstore.Chain, e *inspected) *eventstore.Break {
	var found *eventstore.Break
	if !errors.As(chain.Follow(e.Event, e.reading), &found) {
		return nil
	}
	if ev.tenant && found.Kind == eventstore.BreakMissing && shared(found.Stream) {
		return nil
	}
	return found
}

func shared(stream string) bool {
	return strings.HasPrefix(stream, "security-") || strings.HasPrefix(stream, "claim-")
}

// logged reads the entries, from a goroutine that is ahead. Entries that the
// log does not have although it should are the end of it. Close it when done.
type logged struct {
	next  func() ([]eventstore.Hash, error, bool)
	Close func()
	page  []eventstore.Hash
}

func (ev *evidence) logged(ctx context.Context) *logged {
	const page = 4096
	ahead := ordered(ctx, 1, paged(ev.entries(ctx), page), func() func([]eventstore.Hash) ([]eventstore.Hash, error) {
		return func(page []eventstore.Hash) ([]eventstore.Hash, error) { return page, nil }
	})
	l := &logged{}
	l.next, l.Close = iter.Pull2(ahead)
	return l
}

// entry is the next one; ok is false after the last.
func (l *logged) entry() (hash eventstore.Hash, ok bool, err error) {
	if len(l.page) == 0 {
		page, err, more := l.next()
		if errors.Is(err, transparency.ErrNotLogged) || !more {
			return hash, false, nil
		}
		if err != nil {
			return hash, false, err
		}
		l.page = page
	}
	hash, l.page = l.page[0], l.page[1:]
	return hash, true, nil
}
