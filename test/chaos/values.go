package chaos

import "fmt"

// Write is a value that a client set. Of one thing one client at a time sets
// the value, so that of two writes it is mostly certain which was last.
type Write struct {
	Of, Value  string
	Begin, End Moment // End is that of the answer; Never without one

	settled bool // every attempt at it was answered
}

// Read is a value that a client was shown, by whatever node.
type Read struct {
	Of, Value  string
	Begin, End Moment
	Request    string
}

// Writes notes that a value is about to be set. Say [Recording.Wrote] once that
// is answered.
func (r *Recording) Writes(of, value string) *Write {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := &Write{Of: of, Value: value, Begin: r.Now(), End: Never}
	r.writes = append(r.writes, w)
	return w
}

// Wrote notes what came of a write; settled says that no attempt at it went
// unanswered.
func (r *Recording) Wrote(w *Write, result Result, settled bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case result == Acknowledged:
		w.End, w.settled = r.Now(), settled
	case result == Refused && settled:
		w.Begin = Never // it never was
	}
}

// Shown notes what was read.
func (r *Recording) Shown(read Read) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads = append(r.reads, read)
}

// checkReads finds reads that show what had been replaced before they began, or
// what nobody had set. The caller holds mu.
func (r *Recording) checkReads() []Violation {
	writes := map[string][]*Write{}
	for _, w := range r.writes {
		writes[w.Of] = append(writes[w.Of], w)
	}
	var violations []Violation
	for _, read := range r.reads {
		if !read.possible(writes[read.Of]) {
			violations = append(violations, Violation{Rule: RuleRead, Detail: fmt.Sprintf("%s from %s to %s: %s is %q, which it was no more or never",
				read.Request, read.Begin, read.End, read.Of, read.Value)})
		}
	}
	return violations
}

// possible: some write of the value had begun, and was not replaced before the
// read began. A write that was not answered may take effect at any time.
func (r Read) possible(writes []*Write) bool {
	for _, w := range writes {
		if w.Value == r.Value && w.Begin < r.End && !(w.settled && w.replaced(writes, r.Begin)) {
			return true
		}
	}
	return false
}

func (w *Write) replaced(writes []*Write, by Moment) bool {
	for _, later := range writes {
		if w.End < later.Begin && later.End < by {
			return true
		}
	}
	return false
}
