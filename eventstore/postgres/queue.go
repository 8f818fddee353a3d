package postgres

import (
	"slices"
	"sync"

	"github.com/sentryagent/agentidp/eventstore"
)

// Bounds of a group commit. An append that exceeds them is a group of its own.
const (
	maxBatchEvents = 512
	maxBatchBytes  = 4 << 20
)

// pending is an append between its caller and the writer.
type pending struct {
	stream   string
	expected eventstore.ExpectedRevision
	drafts   []eventstore.Draft
	size     int // about how many bytes its records have

	// Set by the writer before it closes done, read by the caller after.
	result eventstore.Appended
	err    error
	done   chan struct{}
}

// queue is where appends wait for the writer.
type queue struct {
	filled chan struct{} // holds a token when there may be something waiting

	mu      sync.Mutex // guards what follows
	waiting []*pending
	closed  bool
}

func newQueue() *queue { return &queue{filled: make(chan struct{}, 1)} }

// put adds appends to the end, next to each other; false when the queue is closed.
func (q *queue) put(appends ...*pending) bool {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return false
	}
	q.waiting = append(q.waiting, appends...)
	q.mu.Unlock()
	select {
	case q.filled <- struct{}{}:
	default:
	}
	return true
}

// remove takes an append back, unless the writer has it.
func (q *queue) remove(p *pending) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.waiting, p); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
}

// take moves what makes a group into batch, in the order of arrival.
func (q *queue) take(batch []*pending) []*pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := fitting(q.waiting)
	batch = append(batch, q.waiting[:n]...)
	q.waiting = slices.Delete(q.waiting, 0, n)
	return batch
}

// fitting is how many appends, from the first on, make a group.
func fitting(appends []*pending) (n int) {
	events, size := 0, 0
	for _, p := range appends {
		events += len(p.drafts)
		size += p.size
		if n > 0 && (events > maxBatchEvents || size > maxBatchBytes) {
			break
		}
		n++
	}
	return n
}

// drain takes all that wait, and with closing lets nobody in any more.
func (q *queue) drain(closing bool) []*pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.waiting
	q.waiting, q.closed = nil, q.closed || closing
	return all
}

// length is how many appends wait.
func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}
