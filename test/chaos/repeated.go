package chaos

import "slices"

// checkRepeats holds the attempts at an operation against each other: all
// answers name one thing, the one that is in the ledger; an answer that is told
// again is the same and makes nothing; what was done under a key is not refused.
func (o *Operation) checkRepeats(h *History, there []made, endings endings) Violation {
	name, last := "", ""
	if len(there) > 0 {
		name = there[0].named
	}
	done := false // by an attempt before
	for _, a := range o.Attempts {
		switch {
		case a.Result == Refused && o.Keyed && done && !o.excused(endings):
			return o.violation(RuleRepeated, there, "%s was refused what had been done", a.Request)
		case a.Named != "" && name != "" && a.Named != name:
			return o.violation(RuleRepeated, there, "%s was told %s, before it was %s", a.Request, a.Named, name)
		case a.Replayed && last != "" && a.Body != last:
			return o.violation(RuleRepeated, there, "%s was told another answer again than the one before", a.Request)
		case a.Replayed && len(h.requests[a.Request]) > 0:
			return o.violation(RuleRepeated, there, "%s was told an answer again and made something", a.Request)
		}
		if a.Result == Acknowledged {
			last, name = a.Body, a.Named
		}
		done = done || a.Result == Acknowledged || slices.ContainsFunc(h.requests[a.Request], o.isWhatItMakes)
	}
	return Violation{}
}

func (o *Operation) isWhatItMakes(m made) bool { return m.eventType == o.Makes }

// excused: what was done may have been refused to a repeat, because something
// that both need had been ended.
func (o *Operation) excused(endings endings) bool {
	return Use{Needs: []Need{Lasting(o.RestsOn...)}, Begin: o.Begin, End: o.noted}.excused(endings)
}
