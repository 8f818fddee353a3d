package chaos

import (
	"sync"
	"time"

	"github.com/sentryagent/agentidp/domain"
)

// Kind is what a client did.
type Kind string

// Result is what a client knows of a request.
type Result string

const (
	Acknowledged Result = "acknowledged"
	Refused      Result = "refused"
	// Unknown: no answer came, or one that says that nobody can know.
	Unknown Result = "unknown"
)

// Moment is a time of the recording: since it began, by one monotonic clock,
// so that of two moments it is certain which was first.
type Moment time.Duration

func (m Moment) String() string {
	if m == Never {
		return "never"
	}
	return time.Duration(m).Round(time.Millisecond).String()
}

// Never is after every moment.
const Never = Moment(1<<63 - 1)

// Attempt is one request.
type Attempt struct {
	Request string // its id, which stands in the events it led to
	Result  Result
}

// Operation is what a client wanted once, in one or more attempts: those after
// the first repeat it because nobody knew what had become of it.
type Operation struct {
	Kind     Kind
	Attempts []Attempt
	Result   Result // of the last attempt
	Answer   string // in short, for who reads the evidence

	Makes  domain.Type // what there is of it in the ledger; "" for nothing
	Stream string      // where that is, if acknowledged; "" when the answer did not tell
	// Least and Most are how often it is there, if acknowledged. Otherwise it is
	// there Most times at most.
	Least, Most int
}

// Ending is what a client did to end something: a secret, a token, a
// delegation for good; an agent or an organization until it is revived.
type Ending struct {
	Of           string // what was ended, as [Use.RestsOn] calls it
	Begin, End   Moment // End is that of the answer; Never without one
	Revive       Moment // when a revival may have begun to have an effect; Never if none
	RevivedKnown Moment // when a revival was answered, and nothing of the ending can come after it; Never if none was

	settled bool // every attempt at it was answered: none can take effect any more
}

// Use is a request that needs certain things to be alive.
type Use struct {
	Kind       Kind
	RestsOn    []string // what it needs, see [Ending.Of]
	Since      Moment   // when the answer was there that gave what is used: a token; Never for what lasts, such as a secret
	Begin, End Moment
	Result     Result
	Answer     string
}

// Recording is what all clients remember. It is safe for concurrent use.
type Recording struct {
	began time.Time

	mu          sync.Mutex // guards what follows
	operations  []Operation
	endings     []*Ending
	uses        []Use
	reviving    map[string]bool // what a revival that was not answered may yet revive
	checkpoints []Checkpoint
	mistakes    []Violation // seen by a client at once
}

// NewRecording begins one.
func NewRecording() *Recording { return &Recording{began: time.Now(), reviving: map[string]bool{}} }

// Now is the present moment.
func (r *Recording) Now() Moment { return Moment(time.Since(r.began)) }

// Operated notes an operation.
func (r *Recording) Operated(o Operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.operations = append(r.operations, o)
}

// Used notes a use.
func (r *Recording) Used(u Use) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.uses = append(r.uses, u)
}

// Ends notes that something is about to be ended. Say [Recording.Ended] once
// that is answered.
func (r *Recording) Ends(of string) *Ending {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := &Ending{Of: of, Begin: r.Now(), End: Never, Revive: Never, RevivedKnown: Never}
	if r.reviving[of] {
		e.Revive = e.Begin
	}
	r.endings = append(r.endings, e)
	return e
}

// Ended notes that the ending was answered; settled says that no attempt at it
// went unanswered.
func (r *Recording) Ended(e *Ending, settled bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.End, e.settled = r.Now(), settled
}

// Revives notes, of all endings of something there are, that it is about to be
// revived.
func (r *Recording) Revives(of string) {
	r.eachOf(of, func(e *Ending) { e.Revive = min(e.Revive, r.Now()) })
}

// Revived notes that the revival was answered, or, when not settled, that an
// attempt at it was not and may still take effect.
func (r *Recording) Revived(of string, answered, settled bool) {
	if answered {
		r.eachOf(of, func(e *Ending) {
			if e.settled {
				e.RevivedKnown = min(e.RevivedKnown, r.Now())
			}
		})
	}
	if !settled {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.reviving[of] = true
	}
}

func (r *Recording) eachOf(of string, do func(*Ending)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.endings {
		if e.Of == of {
			do(e)
		}
	}
}

// Saw notes a checkpoint that a client was given.
func (r *Recording) Saw(c Checkpoint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checkpoints = append(r.checkpoints, c)
}

// Mistake notes an answer that is wrong whatever the state is.
func (r *Recording) Mistake(v Violation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mistakes = append(r.mistakes, v)
}

// Checkpoints are those that clients saw.
func (r *Recording) Checkpoints() []Checkpoint {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Checkpoint(nil), r.checkpoints...)
}

// Mistakes are what clients saw at once.
func (r *Recording) Mistakes() []Violation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Violation(nil), r.mistakes...)
}
