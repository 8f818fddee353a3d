package esdb_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// truth is what those who use the product have been answered. Whatever a node
// says is held against it.
type truth struct {
	mu       sync.Mutex // guards what follows
	tokens   []*held
	acts     map[uuid.UUID][]*act // by what they change
	written  map[uuid.UUID]eventstore.Position
	wrong    []string      // what a node said, or did, that it must not
	told     int           // answers about tokens
	dead     int           // of those, about tokens that had to be dead
	slowest  time.Duration // that a request took while there was a leader
	commands int           // that were answered
}

// held is a token that was handed out.
type held struct {
	revocation.Token
	rests []uuid.UUID // it lives as long as none of these has ended
}

// act is an attempt to change what tokens rest on.
type act struct {
	what     string
	ends     bool // tokens issued before
	began    time.Time
	answered time.Time           // zero while it is not, or was not
	at       eventstore.Position // of what it recorded; 0 for nothing
}

const credentialRevoked = "credential revoked"

// whole is the position of what ends a token wherever it was issued.
const whole = eventstore.Position(math.MaxInt64)

func newTruth() *truth {
	return &truth{acts: map[uuid.UUID][]*act{}, written: map[uuid.UUID]eventstore.Position{}}
}

func (tr *truth) fault(format string, arguments ...any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.wrong = append(tr.wrong, fmt.Sprintf(format, arguments...))
}

func (tr *truth) begin(what string, ends bool, subject uuid.UUID) *act {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	a := &act{what: what, ends: ends, began: time.Now()}
	tr.acts[subject] = append(tr.acts[subject], a)
	return a
}

// done takes note of an answer, and of the events that it says are recorded.
func (tr *truth) done(a *act, ids []uuid.UUID, at []eventstore.Position) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for i, id := range ids {
		tr.written[id] = at[i]
	}
	if a != nil {
		a.answered = time.Now()
		if len(at) > 0 {
			a.at = at[len(at)-1]
		}
	}
}

func (tr *truth) hold(token *held) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.tokens = append(tr.tokens, token)
}

// some is a token, one of the newest more often than not.
func (tr *truth) some(rng *rand.Rand) *held {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if len(tr.tokens) == 0 {
		return nil
	}
	if rng.IntN(3) > 0 {
		return tr.tokens[len(tr.tokens)-1-rng.IntN(min(6, len(tr.tokens)))]
	}
	return tr.tokens[rng.IntN(len(tr.tokens))]
}

// judge holds what a node says of a token, asked then, against the truth.
func (tr *truth) judge(by string, token *held, asked time.Time, verdict revocation.Verdict) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.told++
	var ended *act
	clear := true // nothing that is on its way, or that nobody knows of, can have ended it
	for _, thing := range token.rests {
		for _, a := range tr.acts[thing] {
			open := a.answered.IsZero()
			switch {
			case a.ends && !open && a.at > token.Position && a.answered.Before(asked):
				ended = a
			case open || a.at >= token.Basis || a.what == credentialRevoked: // it may have been used for a while
				clear = false
			}
		}
	}
	switch {
	case ended != nil:
		tr.dead++
		if verdict == revocation.Alive {
			tr.wrong = append(tr.wrong, fmt.Sprintf("%s says active, asked %s after %q was answered (token at %d, ended at %d)",
				by, asked.Sub(ended.answered), ended.what, token.Position, ended.at))
		}
	case clear && verdict != revocation.Alive:
		tr.wrong = append(tr.wrong, fmt.Sprintf("%s says %s of a token at %d that nobody has ended", by, verdict, token.Position))
	}
}
