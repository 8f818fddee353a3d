package chaos

import "time"

// staleness is how old what a command looked at may be when its event is
// recorded, where another stream than its own is concerned: a request may take
// fifteen seconds and its node may be frozen meanwhile. What is on the event's
// own stream is never stale.
const staleness = 30 * time.Second

// past is an aggregate as it is, and as it was a short while ago.
type past[S any] struct {
	now    S
	before []replaced[S]
}

type replaced[S any] struct {
	state S
	at    time.Time // when something newer was recorded
}

// change replaces the state.
func (p *past[S]) change(next S, at time.Time) {
	for len(p.before) > 0 && p.before[0].at.Before(at.Add(-2*staleness)) {
		p.before = p.before[1:]
	}
	p.before = append(p.before, replaced[S]{state: p.now, at: at})
	p.now = next
}

// possible are the states that a command may have looked at whose event was
// recorded then, the present one first.
func (p *past[S]) possible(at time.Time) []S {
	states := []S{p.now}
	for _, b := range p.before {
		if !b.at.Before(at.Add(-staleness)) {
			states = append(states, b.state)
		}
	}
	return states
}

// anyOf is nil when one of the states will do, otherwise why the first does not.
func anyOf[S any](states []S, check func(S) error) error {
	var first error
	for _, s := range states {
		err := check(s)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}
