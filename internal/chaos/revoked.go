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
	endings := map[string][]*Ending{}
	for _, e := range r.endings {
		endings[e.Of] = append(endings[e.Of], e)
	}
	var violations []Violation
	for _, u := range r.uses {
		switch u.Result {
		case Acknowledged:
			if of, e := u.tooLate(endings); e != nil {
				violations = append(violations, u.violation(RuleRevoked, "%s was ended before: asked at %s, answered at %s", of, e.Begin, e.End))
			}
		case Refused:
			if !u.excused(endings) {
				violations = append(violations, u.violation(RuleInVain, "nothing of %s had been ended", u.RestsOn))
			}
		}
	}
	return violations
}

// tooLate is an ending that should have kept the use from success.
func (u Use) tooLate(endings map[string][]*Ending) (string, *Ending) {
	for _, of := range u.RestsOn {
		for _, e := range endings[of] {
			before := u.Since < e.Begin
			stillEnded := e.Revive > u.End
			if e.End < u.Begin && (before || stillEnded) {
				return of, e
			}
		}
	}
	return "", nil
}

// excused: something that the use needs may have been ended by its answer and
// for what it has.
func (u Use) excused(endings map[string][]*Ending) bool {
	return slices.ContainsFunc(u.RestsOn, func(of string) bool {
		return slices.ContainsFunc(endings[of], func(e *Ending) bool {
			// What came after a revival was answered has nothing to do with it.
			after := u.Begin
			if u.Since != Never {
				after = u.Since
			}
			return e.Begin < u.End && after < e.RevivedKnown
		})
	})
}

func (u Use) violation(rule Rule, format string, args ...any) Violation {
	return Violation{Rule: rule, Detail: fmt.Sprintf("%s from %s to %s, answered %q: ", u.Kind, u.Begin, u.End, u.Answer) +
		fmt.Sprintf(format, args...)}
}
