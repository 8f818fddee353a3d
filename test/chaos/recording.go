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

	Named    string // the id of what was made, as the answer has it; "" when it does not tell
	Body     string // of the answer
	Replayed bool   // the answer says that it is that of an earlier attempt
}

// Operation is what a client wanted once, in one or more attempts: those after
// the first repeat it because nobody knew what had become of it, or, under an
// Idempotency-Key, to be told the same again.
type Operation struct {
	Kind     Kind
	Attempts []Attempt
	Result   Result // Acknowledged if one attempt was, else that of the last
	Answer   string // in short, for who reads the evidence

	Makes  domain.Type // what there is of it in the ledger; "" for nothing
	Stream string      // where that is, if acknowledged; "" when the answer did not tell
	// Least and Most are how often it is there, if acknowledged. Otherwise it is
	// there Most times at most.
	Least, Most int

	// Keyed says that all attempts had one Idempotency-Key: what was done is not
	// refused to a repeat, unless something of RestsOn was ended since Begin.
	Keyed   bool
	RestsOn []string
	Begin   Moment

	noted Moment // not before the answer
}

// Recording is what all clients remember. It is safe for concurrent use.
type Recording struct {
	began time.Time

	mu          sync.Mutex // guards what follows
	operations  []Operation
	endings     []*Ending
	uses        []Use
	reviving    map[string]bool // what a revival that was not answered may yet revive
	writes      []*Write
	reads       []Read
	trails      []Trail
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
	o.noted = r.Now()
	r.operations = append(r.operations, o)
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
