package chaos

import (
	"fmt"
	"slices"
)

// CheckRevoked finds requests that began after an ending was answered and
// succeeded all the same on what had been ended; and requests that were
// refused although nothing they need had been ended, or may have been, before
// their answer.
//
// Only what is certain counts. A token is from before an ending if it was there
// before that was asked for; such a token stays dead when an agent or an
// organization is revived.
func (r *Recording) CheckRevoked() []Violation {
	r.mu.Lock()
	defer r.mu.Unlock()
	endings := r.endingsOf()
	var violations []Violation
	for _, u := range r.uses {
		switch u.Result {
		case Acknowledged:
			if e := u.tooLate(endings); e != nil {
				violations = append(violations, u.violation(RuleRevoked, "%s was ended before: asked at %s, answered at %s", e.Of, e.Begin, e.End))
			}
		case Refused:
			if !u.excused(endings) {
				violations = append(violations, u.violation(RuleInVain, "nothing of %v had been ended", u.Needs))
			}
		}
	}
	return violations
}

// tooLate is an ending that should have kept the use from success.
func (u Use) tooLate(endings endings) *Ending {
	for _, need := range u.Needs {
		for _, of := range need.RestsOn {
			for _, e := range endings[of] {
				before := need.Since < e.Begin
				stillEnded := e.Revive > u.End
				if e.End < u.Begin && (before || stillEnded) {
					return e
				}
			}
		}
	}
	return nil
}

// excused: something that the use needs may have been ended by its answer and
// for what it has.
func (u Use) excused(endings endings) bool {
	return slices.ContainsFunc(u.Needs, func(need Need) bool {
		// What came after a revival was answered has nothing to do with it. A
		// token may be worth only what was known when it was asked for.
		after := min(need.Asked, u.Begin)
		return slices.ContainsFunc(need.RestsOn, func(of string) bool {
			return slices.ContainsFunc(endings[of], func(e *Ending) bool { return e.Begin < u.End && after < e.RevivedKnown })
		})
	})
}

func (u Use) violation(rule Rule, format string, args ...any) Violation {
	return Violation{Rule: rule, Detail: fmt.Sprintf("%s from %s to %s, answered %q: ", u.Kind, u.Begin, u.End, u.Answer) +
		fmt.Sprintf(format, args...)}
}
