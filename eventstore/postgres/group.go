package postgres

import (
	"strings"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
)

// group is an attempt at committing some appends together.
type group struct {
	appends  []*pending
	checkIDs bool // look up all event ids, also those that should be new

	heads  map[string]head                // of the appends' streams, as the database has them
	asked  map[uuid.UUID]bool             // ids that have been looked up
	stored map[uuid.UUID]eventstore.Event // those of them that are in the ledger

	// What decide makes of it.
	rows     []eventstore.Event // to insert, in order
	outcomes []outcome          // of appends
	changed  map[string]head    // heads after the rows
	byID     map[uuid.UUID]int  // indexes into rows
}

type outcome struct {
	result eventstore.Appended
	err    error
}

// decide checks and seals the appends one after another, each on what those
// before it have made of the ledger, whose newest position is last. It returns
// the ids that have to be looked up first, after which it wants to be called
// again.
func (g *group) decide(last eventstore.Position) (unasked []uuid.UUID) {
	g.rows = g.rows[:0]
	g.outcomes = make([]outcome, len(g.appends))
	g.changed = make(map[string]head, len(g.heads))
	g.byID = make(map[uuid.UUID]int)
	for i, p := range g.appends {
		at, ok := g.changed[p.stream]
		if !ok {
			at = g.heads[p.stream]
		}
		if g.checkIDs || p.expected.IsAny() || p.expected.Revision() != at.revision {
			if ids := g.unasked(p); len(ids) > 0 {
				unasked = append(unasked, ids...)
				continue
			}
		}
		g.outcomes[i] = g.decideOne(p, at, last)
	}
	return unasked
}

func (g *group) unasked(p *pending) (ids []uuid.UUID) {
	for i := range p.drafts {
		if !g.asked[p.drafts[i].ID] {
			ids = append(ids, p.drafts[i].ID)
		}
	}
	return ids
}

func (g *group) decideOne(p *pending, at head, last eventstore.Position) outcome {
	first, repeated, err := eventstore.Admit(p.stream, at.revision, p.expected, p.drafts, g.lookup)
	if repeated || err != nil {
		return outcome{first, err}
	}
	before := len(g.rows)
	positions := make([]eventstore.Position, len(p.drafts))
	for i := range p.drafts {
		e, err := eventstore.SealEvent(p.drafts[i], p.stream, at.revision+1, at.hash)
		if err != nil {
			g.rows = g.rows[:before]
			return outcome{err: err}
		}
		e.Position = last + 1 + eventstore.Position(len(g.rows))
		positions[i] = e.Position
		at = head{e.Revision, e.Hash}
		g.rows = append(g.rows, e)
	}
	for i := before; i < len(g.rows); i++ {
		g.byID[g.rows[i].ID] = i
	}
	g.changed[p.stream] = at
	return outcome{result: eventstore.Appended{Positions: positions, Revision: at.revision, Hash: at.hash}}
}

// lookup finds an event in this group or, among the ids asked for, in the ledger.
func (g *group) lookup(id uuid.UUID) (eventstore.Event, bool) {
	if i, ok := g.byID[id]; ok {
		return g.rows[i], true
	}
	e, ok := g.stored[id]
	return e, ok
}

// maxNotifiedTypes bounds a notification, well below PostgreSQL's 8000 bytes.
const maxNotifiedTypes = 32

// types lists the types of the rows for a notification, "*" when many.
func (g *group) types() string {
	var list []string
	seen := make(map[string]bool, 8)
	for i := range g.rows {
		if t := g.rows[i].Type; !seen[t] {
			if len(seen) == maxNotifiedTypes {
				return "*"
			}
			seen[t] = true
			list = append(list, t)
		}
	}
	return strings.Join(list, ",")
}
