package verify

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"strings"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/ordered"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// Evidence is a ledger, or a tenant's part of it, with all that is to be said
// for it. It can be read as often as needed.
type Evidence struct {
	Events         func(context.Context) iter.Seq2[[]Inspected, error]
	Entries        func(context.Context) iter.Seq2[eventstore.Hash, error] // as logged
	Size           int64                                                   // how many entries
	Checkpoints    []Checkpoint                                            // as [BySize] sorts them
	Forged         int                                                     // stored checkpoints with a false signature
	Options        eventstore.ChainOptions
	Tenant         bool                // of streams that tenants share there are only parts
	Head           eventstore.Position // events go at least as far; 0 when that is not known
	Progress       func(events int)    // told of events since the last time; nil: nobody is
	FromBeginning  bool                // so that tokens can be held against credentials
	MaxCredentials int                 // to remember for that; 0: all there are
}

// Inspected is an event that has been looked at by itself.
type Inspected struct {
	eventstore.Event
	Reading eventstore.Reading
	deed    deed
}

// Inspect looks at what an event does, which has been read.
func Inspect(e *eventstore.Event, reading *eventstore.Reading) Inspected {
	return Inspected{*e, *reading, deedOf(e, reading)}
}

// inspecting takes readings of events on all processors.
func inspecting(ctx context.Context, events iter.Seq2[eventstore.Event, error]) iter.Seq2[[]Inspected, error] {
	const batch = 256
	return ordered.Map(ctx, runtime.GOMAXPROCS(0), ordered.Pages(events, batch), func() func([]eventstore.Event) ([]Inspected, error) {
		var inspector eventstore.Inspector
		return func(events []eventstore.Event) ([]Inspected, error) {
			looked := make([]Inspected, len(events))
			for i := range events {
				reading := inspector.Inspect(&events[i])
				looked[i] = Inspect(&events[i], &reading)
			}
			return looked, nil
		}
	})
}

// follow feeds an event to a chain. What it finds is nil where it is no break
// in this evidence: of a stream that several tenants share, one sees only parts.
func (ev *Evidence) follow(chain *eventstore.Chain, e *Inspected) *eventstore.Break {
	var found *eventstore.Break
	if !errors.As(chain.Follow(e.Event, e.Reading), &found) {
		return nil
	}
	if ev.Tenant && found.Kind == eventstore.BreakMissing && shared(found.Stream) {
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

func (ev *Evidence) logged(ctx context.Context) *logged {
	const page = 4096
	ahead := ordered.Map(ctx, 1, ordered.Pages(ev.Entries(ctx), page), func() func([]eventstore.Hash) ([]eventstore.Hash, error) {
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
