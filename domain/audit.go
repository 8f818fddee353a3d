package domain

// AuditOutcome says how the audit trail shows that an action ended. The action
// itself goes by the event's name.
type AuditOutcome string

const (
	AuditSuccess AuditOutcome = "success"
	AuditFailure AuditOutcome = "failure"

	// unaudited events are nobody's action: they keep rules over several streams.
	unaudited AuditOutcome = "unaudited"
)

// Audited says how the audit trail shows an event; shown is false where it
// leaves the event out.
func Audited(e Event) (outcome AuditOutcome, shown bool) {
	k := catalogue[e.EventType()]
	if k == nil || k.audit == unaudited {
		return "", false
	}
	return k.audit, true
}
