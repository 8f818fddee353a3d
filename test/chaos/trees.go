package chaos

import (
	"fmt"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// trees are the logs as they should be: the root at every size.
type trees struct {
	growing map[uuid.UUID]*transparency.Tree
	roots   map[uuid.UUID][]tlog.Hash // by log, the root of size i+1 at i
}

func newTrees() *trees {
	return &trees{growing: map[uuid.UUID]*transparency.Tree{}, roots: map[uuid.UUID][]tlog.Hash{}}
}

func (t *trees) take(e eventstore.Event) {
	t.grow(transparency.Whole, e.Hash)
	if e.Organization != uuid.Nil {
		t.grow(e.Organization, e.Hash)
	}
}

func (t *trees) grow(log uuid.UUID, entry eventstore.Hash) {
	if t.growing[log] == nil {
		t.growing[log] = &transparency.Tree{}
	}
	t.growing[log].Append(entry)
	t.roots[log] = append(t.roots[log], t.growing[log].Root())
}

// Logs are those of the ledger: the whole and each organization's own.
func (h *History) Logs() []uuid.UUID {
	logs := make([]uuid.UUID, 0, len(h.trees.roots))
	for log := range h.trees.roots {
		logs = append(logs, log)
	}
	return logs
}

// Checkpoint is a signed checkpoint, wherever it was seen.
type Checkpoint struct {
	transparency.Checkpoint
	Log  uuid.UUID
	Seen string // by whom or where
}

// CheckCheckpoints holds checkpoints against the ledger: of each size one tree
// was signed, and it is the one that the ledger has at that size.
func (h *History) CheckCheckpoints(signed []Checkpoint) []Violation {
	type size struct {
		origin string
		size   int64
	}
	var violations []Violation
	found := func(c Checkpoint, format string, args ...any) {
		detail := fmt.Sprintf("%s of size %d, seen by %s: ", c.Origin, c.Size, c.Seen) + fmt.Sprintf(format, args...)
		violations = append(violations, Violation{Rule: RuleTree, Detail: detail})
	}
	first := map[size]Checkpoint{}
	for _, c := range signed {
		at := size{c.Origin, c.Size}
		if other, known := first[at]; known && other.Root != c.Root {
			found(c, "%s sees %s, this is %s", other.Seen, other.Root, c.Root)
			continue
		}
		first[at] = c
		switch roots := h.trees.roots[c.Log]; {
		case c.Size < 1 || c.Size > int64(len(roots)):
			found(c, "the ledger has %d entries", len(roots))
		case roots[c.Size-1] != c.Root:
			found(c, "the root is %s, the ledger's is %s", c.Root, roots[c.Size-1])
		}
	}
	return violations
}
