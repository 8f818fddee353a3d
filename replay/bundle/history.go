package bundle

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/replay/history"
	"github.com/sentryagent/agentidp/replay/verify"
)

// History proves the bundle as [Bundle.Verify] does and gives the history of what
// is in it; nil where something is wrong. It ends with the newest event: nothing in
// a bundle says what came after that, or that nothing came. Members are read again
// when they are asked for, and held against the manifest each time.
//
// Memory grows with the number of streams, as that of verification does, and by two
// bytes for each stream in each member; not with the number of events.
func (b *Bundle) History(ctx context.Context, o Options) (*history.History, verify.Report, error) {
	contents := &bundleContents{bundle: b}
	report, err := b.verify(ctx, o, contents.learn)
	if err != nil || report.Break != nil {
		return nil, report, err
	}
	m := b.Manifest
	return history.From(history.Source{
		Events: contents, Finder: contents, Now: func() time.Time { return contents.newest },
		Late:   "must not be after the newest event of the bundle: nothing in it tells what was so later",
		Places: m.Organization != nil || m.FirstPosition > 1 || int64(m.LastPosition) != m.Events,
	}), report, nil
}

// bundleContents knows in which members of a bundle a stream is.
type bundleContents struct {
	bundle  *Bundle
	members []placed
	streams map[eventstore.StreamKey][]uint16 // there are at most maxMembers
	types   map[string][]uint16               // of the events that things are found by
	events  int64
	newest  time.Time

	reading sync.Mutex // guards all below
	unpack  unpacker
	open    int // the member that is in memory; -1 for none
	content []verify.Inspected
}

// placed is a member of events, and where in the ledger it begins.
type placed struct {
	Member
	position eventstore.Position
}

var (
	credentialGenerated = string(domain.CredentialGenerated{}.EventType())
	delegationCreated   = string(domain.DelegationCreated{}.EventType())

	// foundBy are the events that say where else to look.
	foundBy = []string{credentialGenerated, delegationCreated}
)

// learn reads all events, in their order, and remembers in which members they are.
func (c *bundleContents) learn(ctx context.Context) iter.Seq2[[]verify.Inspected, error] {
	c.members, c.open, c.events, c.newest = slices.Collect(c.bundle.placed), -1, 0, time.Time{}
	c.streams, c.types = make(map[eventstore.StreamKey][]uint16), make(map[string][]uint16)
	return func(yield func([]verify.Inspected, error) bool) {
		member := uint16(0)
		for events, err := range c.bundle.events(ctx) {
			for i := range events {
				c.note(&events[i], member)
			}
			member++
			if !yield(events, err) {
				return
			}
		}
	}
}

func (c *bundleContents) note(e *verify.Inspected, member uint16) {
	add := func(members []uint16) []uint16 {
		if n := len(members); n > 0 && members[n-1] == member {
			return members
		}
		return append(members, member)
	}
	key := e.Reading.Stream
	c.streams[key] = add(c.streams[key])
	if slices.Contains(foundBy, e.Type) {
		c.types[e.Type] = add(c.types[e.Type])
	}
	c.events++
	if e.RecordedAt.After(c.newest) {
		c.newest = e.RecordedAt
	}
}

// member reads a member again, unless it is the one that was read last.
func (c *bundleContents) member(i int) ([]verify.Inspected, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	if c.open == i {
		return c.content, nil
	}
	packed, err := c.bundle.member(c.members[i].Member)
	if err == nil {
		c.content, err = c.unpack.unpack(packed, c.members[i].Member, c.members[i].position)
	}
	if err != nil {
		c.open = -1
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	c.open = i
	return c.content, nil
}

// in yields the events of some members.
func (c *bundleContents) in(ctx context.Context, members []uint16) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		for _, m := range members {
			events, err := c.member(int(m))
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(eventstore.Event{}, err)
				return
			}
			for i := range events {
				if !yield(events[i].Event, nil) {
					return
				}
			}
		}
	}
}

// ReadStream is for [history.Events]. Backwards it holds the stream in memory, up to where
// it begins.
func (c *bundleContents) ReadStream(ctx context.Context, stream string, from int64, direction eventstore.Direction) iter.Seq2[eventstore.Event, error] {
	forwards := func(yield func(eventstore.Event, error) bool) {
		for e, err := range c.in(ctx, c.streams[eventstore.KeyOf(stream)]) {
			if (err != nil || e.Stream == stream) && !yield(e, err) {
				return
			}
		}
	}
	return func(yield func(eventstore.Event, error) bool) {
		var before []eventstore.Event
		for e, err := range forwards {
			switch {
			case err != nil:
				yield(e, err)
				return
			case direction == eventstore.Forwards:
				if e.Revision >= from && !yield(e, nil) {
					return
				}
				continue
			case from == eventstore.End || e.Revision <= from:
				before = append(before, e)
			}
			if e.Revision == from {
				break
			}
		}
		for _, e := range slices.Backward(before) {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// ReadAll is for [history.Events].
func (c *bundleContents) ReadAll(ctx context.Context, after eventstore.Position, filter eventstore.Filter) iter.Seq2[eventstore.Event, error] {
	var members []uint16
	for i, m := range c.members {
		if m.position+eventstore.Position(m.Lines) > after+1 {
			members = append(members, uint16(i)) // there are at most maxMembers
		}
	}
	return func(yield func(eventstore.Event, error) bool) {
		for e, err := range c.in(ctx, members) {
			if (err != nil || e.Position > after && filter.Passes(e)) && !yield(e, err) {
				return
			}
		}
	}
}

// Head is for [history.Events].
func (c *bundleContents) Head(context.Context) (eventstore.Position, error) {
	return eventstore.Position(c.events), nil
}

// Credential finds whose a credential is, and nothing else of it.
func (c *bundleContents) Credential(ctx context.Context, _ readmodels.Tenant, id domain.CredentialID) (readmodels.Credential, error) {
	for e, err := range c.in(ctx, c.types[credentialGenerated]) {
		if err != nil {
			return readmodels.Credential{}, err
		}
		if e.Type != credentialGenerated {
			continue
		}
		fact, err := history.FactOf(e)
		if err != nil {
			return readmodels.Credential{}, err
		}
		if made, is := fact.(domain.CredentialGenerated); is && made.CredentialID == id {
			return readmodels.Credential{AgentID: made.AgentID, OrganizationID: domain.OrganizationID{UUID: e.Organization},
				Credential: domain.Credential{ID: id, CreatedAt: e.RecordedAt}}, nil
		}
	}
	return readmodels.Credential{}, readmodels.ErrNotFound
}

// DelegationsOf is as of [readmodels.Queries], and knows the bundle to its end.
func (c *bundleContents) DelegationsOf(ctx context.Context, _ readmodels.Tenant, f readmodels.PartIn) (readmodels.DelegationIDs, error) {
	var found readmodels.DelegationIDs
	for e, err := range c.in(ctx, c.types[delegationCreated]) {
		if err != nil {
			return found, err
		}
		later := f.Position > 0 && e.Position > f.Position || !f.CreatedBy.IsZero() && e.RecordedAt.After(f.CreatedBy)
		if e.Type != delegationCreated || later {
			continue
		}
		created, err := history.DelegationIn(e)
		if err != nil {
			return found, err
		}
		if history.PartIn(created, f) {
			found.Total++
			found.IDs = append(found.IDs, created.DelegationID)
			found.IDs = found.IDs[max(0, len(found.IDs)-f.Limit):]
		}
	}
	slices.Reverse(found.IDs)
	found.Position, _ = c.Head(ctx)
	return found, nil
}
