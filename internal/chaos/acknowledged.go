package chaos

import "fmt"

// CheckAcknowledged holds what was answered against the ledger: what was
// acknowledged is there, once, where the answer says; what was refused is not;
// what nobody knew of is there once at most.
func (r *Recording) CheckAcknowledged(h *History) []Violation {
	r.mu.Lock()
	defer r.mu.Unlock()
	var violations []Violation
	for i := range r.operations {
		o := &r.operations[i]
		if o.Makes == "" {
			continue
		}
		if v := h.checkOperation(o); v.Rule != "" {
			violations = append(violations, v)
		}
	}
	return violations
}

func (h *History) checkOperation(o *Operation) Violation {
	var there []made
	certain := true // every attempt but the last was answered
	for i, a := range o.Attempts {
		certain = certain && (i == len(o.Attempts)-1 || a.Result != Unknown)
		for _, m := range h.requests[a.Request] {
			if m.eventType == o.Makes {
				there = append(there, m)
			}
		}
	}
	broken := func(rule Rule, format string, args ...any) Violation {
		v := Violation{Rule: rule, Detail: fmt.Sprintf("%s (%d attempts, the last as %s, answered %q): ",
			o.Kind, len(o.Attempts), o.Attempts[len(o.Attempts)-1].Request, o.Answer) + fmt.Sprintf(format, args...)}
		if len(there) > 0 {
			v.Position = there[0].position
		}
		return v
	}
	n := len(there)
	switch {
	case o.Result == Acknowledged && (n < o.Least || n > o.Most):
		return broken(RuleAcknowledged, "%s is there %d times, want %d to %d", o.Makes, n, o.Least, o.Most)
	case o.Result == Refused && certain && n > 0:
		return broken(RuleRefused, "%s is there %d times", o.Makes, n)
	case n > o.Most:
		return broken(RuleUnanswered, "%s is there %d times, want %d at most", o.Makes, n, o.Most)
	case o.Result == Acknowledged && o.Stream != "" && n > 0 && there[0].stream != o.Stream:
		return broken(RuleAcknowledged, "it is on %s, the answer says %s", there[0].stream, o.Stream)
	}
	return Violation{}
}
