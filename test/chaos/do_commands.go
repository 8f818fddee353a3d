package chaos

import (
	"context"

	"github.com/google/uuid"
)

// operate sends a command until it is answered and notes it. A command with a
// key is now and then sent again after it was acknowledged: the newest answer
// counts.
func (c *client) operate(ctx context.Context, o Operation, what ask) (a answer, tried attempts) {
	const again = 4
	o.Begin, o.Keyed = c.recording.Now(), what.keyed()
	a, tried = c.until(ctx, what)
	if o.Keyed && a.result == Acknowledged && c.rng.IntN(again) == 0 {
		repeated, more := c.until(ctx, what)
		tried = append(tried, more...)
		if repeated.result == Acknowledged {
			a = repeated
		}
	}
	o.Attempts, o.Result, o.Answer = tried, a.result, a.String()
	o.Least, o.Most = bounds(o.Least, o.Most, tried)
	c.recording.Operated(o)
	return a, tried
}

const (
	// asOften as [Operation.Most]: each attempt may do it.
	asOften = -1
	// ifFirst as [Operation.Least]: it is there when the first attempt was
	// acknowledged. A repeat may find that another has done the very same meanwhile.
	ifFirst = -1
)

// bounds are [Operation.Least] and [Operation.Most] now that it is known what
// attempts there were. Where nothing was said, it is there once.
func bounds(least, most int, tried attempts) (int, int) {
	switch {
	case most == 0:
		least, most = 1, 1
	case most == asOften:
		most = len(tried)
	}
	if least == ifFirst {
		least = 0
		if tried[0].Result == Acknowledged {
			least = 1
		}
	}
	return least, most
}

// operateOnce sends a command that is not to be repeated.
func (c *client) operateOnce(ctx context.Context, o Operation, what ask) answer {
	o.Begin = c.recording.Now()
	a := c.once(ctx, what)
	o.Attempts, o.Result, o.Answer = attempts{a.attempt(what)}, a.result, a.String()
	c.recording.Operated(o)
	return a
}

// end sends what ends something and notes when that was answered.
func (c *client) end(ending *Ending, send func() (answer, attempts)) (answer, attempts) {
	a, tried := send()
	if a.result == Acknowledged {
		c.recording.Ended(ending, tried.settled())
	}
	return a, tried
}

// keyed is a header that lets a command be repeated.
func keyed() map[string]string { return map[string]string{idempotencyKey: uuid.NewString()} }

// attempts are those at one operation.
type attempts []Attempt

// settled: none was left unanswered, and so may yet take effect.
func (a attempts) settled() bool {
	for _, attempt := range a {
		if attempt.Result == Unknown {
			return false
		}
	}
	return true
}

// certain: nothing that was left unanswered came after what was acknowledged.
func (a attempts) certain() bool { return a[len(a)-1].Result != Unknown }

// nothing: the operation was refused, and has not been done by any attempt.
func (a attempts) nothing() bool { return a.settled() && a[len(a)-1].Result == Refused }
