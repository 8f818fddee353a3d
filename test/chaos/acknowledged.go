package chaos

import (
	"fmt"
	"slices"

	"github.com/sentryagent/agentidp/domain"
)

// CheckAcknowledged holds what was answered against the ledger: what was
// acknowledged is there, once, where the answer says; what was refused is not;
// what nobody knew of is there once at most. And against the answers after it:
// repeats under one key, reads, audit trails.
func (r *Recording) CheckAcknowledged(h *History) []Violation {
	r.mu.Lock()
	defer r.mu.Unlock()
	endings := r.endingsOf()
	var violations []Violation
	for i := range r.operations {
		o := &r.operations[i]
		if o.Makes == "" {
			continue
		}
		there := h.madeBy(o)
		for _, v := range []Violation{o.checkLedger(there), o.checkRepeats(h, there, endings)} {
			if v.Rule != "" {
				violations = append(violations, v)
			}
		}
	}
	return append(append(violations, r.checkReads()...), r.checkTrails(h)...)
}

// madeBy is what all attempts at an operation have led to, of what it makes. A
// delegation that the request itself has taken back, since its token ended
// meanwhile, is not there.
func (h *History) madeBy(o *Operation) (there []made) {
	takenBack := make(map[string]bool) // by stream
	for _, a := range o.Attempts {
		for _, m := range h.requests[a.Request] {
			takenBack[m.stream] = takenBack[m.stream] || m.eventType == delegationRevoked
			if o.isWhatItMakes(m) {
				there = append(there, m)
			}
		}
	}
	return slices.DeleteFunc(there, func(m made) bool { return m.eventType == delegationCreated && takenBack[m.stream] })
}

const (
	delegationCreated domain.Type = "delegation.created"
	delegationRevoked domain.Type = "delegation.revoked"
)

// named is the id by which an answer names what an event made.
func named(fact domain.Event) string {
	switch e := fact.(type) {
	case domain.OrganizationCreated:
		return e.OrganizationID.String()
	case domain.MemberAdded:
		return e.AgentID.String()
	case domain.AgentCreated:
		return e.AgentID.String()
	case domain.CredentialGenerated:
		return e.CredentialID.String()
	case domain.CredentialRotated:
		return e.CredentialID.String()
	case domain.DelegationCreated:
		return e.DelegationID.String()
	}
	return ""
}

func (o *Operation) checkLedger(there []made) Violation {
	certain := true // every attempt but the last was answered
	for i, a := range o.Attempts {
		certain = certain && (i == len(o.Attempts)-1 || a.Result != Unknown)
	}
	n := len(there)
	switch {
	case o.Result == Acknowledged && (n < o.Least || n > o.Most):
		return o.violation(RuleAcknowledged, there, "%s is there %d times, want %d to %d", o.Makes, n, o.Least, o.Most)
	case o.Result == Refused && certain && n > 0:
		return o.violation(RuleRefused, there, "%s is there %d times", o.Makes, n)
	case n > o.Most:
		return o.violation(RuleUnanswered, there, "%s is there %d times, want %d at most", o.Makes, n, o.Most)
	case o.Result == Acknowledged && o.Stream != "" && n > 0 && there[0].stream != o.Stream:
		return o.violation(RuleAcknowledged, there, "it is on %s, the answer says %s", there[0].stream, o.Stream)
	}
	return Violation{}
}

func (o *Operation) violation(rule Rule, there []made, format string, args ...any) Violation {
	v := Violation{Rule: rule, Detail: fmt.Sprintf("%s (%d attempts, the last as %s, answered %q): ",
		o.Kind, len(o.Attempts), o.Attempts[len(o.Attempts)-1].Request, o.Answer) + fmt.Sprintf(format, args...)}
	if len(there) > 0 {
		v.Position = there[0].position
	}
	return v
}
