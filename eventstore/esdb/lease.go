package esdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
)

// A read proves nothing about who answers it: a leader that was deposed and does
// not know it answers from the past, whatever it is asked to insist on. An append
// is answered only when most nodes have it, so one that was answered shows that
// whoever did was the leader after it was sent, and for as long after that as
// the others need to elect another.

// barrierStream is where a store appends when it has to know who leads and has
// nothing to write. It is no stream of the ledger: no chain, no event of it.
const barrierStream = "barrier"

// barrierName is the stream for barriers now. Where somebody ended one by a tombstone
// the next takes its place: barrier.1 and so on.
func (s *Store) barrierName() string {
	if n := s.barriers.Load(); n > 0 {
		return fmt.Sprintf("%s.%d", barrierStream, n)
	}
	return barrierStream
}

func isBarrier(stream string) bool {
	return stream == barrierStream || strings.HasPrefix(stream, barrierStream+".")
}

// leaveBarrier takes another stream for barriers when one was ended.
func (s *Store) leaveBarrier(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.barrierName() == name {
		s.barriers.Add(1)
		s.bounded.Store(false)
		s.options.Logger.Warn("the stream for barriers was ended by a tombstone; another takes its place", "stream", s.options.Prefix+name)
	}
}

// lease is what has been proven of the connection in use.
type lease struct {
	mu      sync.Mutex // guards what follows
	conn    wire.Conn
	sent    time.Time // when the newest append was sent that conn has answered
	proving *proof    // under way; nil when there is none
}

// proof is one append that shows who leads, and those who wait for it.
type proof struct {
	conn wire.Conn
	sent time.Time
	done chan struct{} // closed when err is set
	err  error
}

// proven takes note of an append that was answered.
func (l *lease) proven(c wire.Conn, sent time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != c || sent.After(l.sent) {
		l.conn, l.sent = c, sent
	}
}

// lost takes note that a node has said that it does not lead.
func (l *lease) lost() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = nil
}

// age is how old the newest proof of a connection is; ok is false when there is
// none.
func (l *lease) age(c wire.Conn) (age time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.sent), l.conn == c
}

// head is the position of the newest event. The answer counts when whoever gave
// it was the leader then: when it came within the lease, or when an append was
// answered that was sent after the question was put.
func (s *Store) head(ctx context.Context) (head eventstore.Position, err error) {
	s.awaitTail(ctx)
	defer func() { s.tail.appended(head) }()
	err = s.try(ctx, s.supervisor, func(c wire.Conn) (err error) {
		for {
			head, err = s.provenHead(ctx, c)
			if !errors.Is(err, errLate) {
				return err
			}
		}
	})
	return head, err
}

// errLate: an answer came when it could not be told any more who leads.
var errLate = errors.New("the answer came too late to count")

func (s *Store) provenHead(ctx context.Context, c wire.Conn) (eventstore.Position, error) {
	asked, bound := time.Now(), s.options.Lease
	age, ok := s.lease.age(c)
	var p *proof
	count := 1
	switch {
	case !ok || age >= bound*9/10:
		p, count = s.prove(c), 2 // the barrier may be the newest already
	case age >= bound/2:
		s.prove(c) // for those who come after
	}
	head, err := s.headAt(ctx, c, count)
	if err != nil {
		return 0, err
	}
	if age, ok := s.lease.age(c); ok && age <= bound {
		return head, nil
	}
	if p == nil {
		return 0, errLate
	}
	came := time.Now()
	patience := time.NewTimer(max(silence-came.Sub(asked), doubtAfter/2))
	defer patience.Stop()
	select {
	case <-p.done:
	case <-patience.C:
		return 0, fmt.Errorf("%w: show that the server's node leads: %w", eventstore.ErrUnavailable, errSilent)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	switch {
	case p.err != nil:
		return 0, fmt.Errorf("show that the server's node leads: %w", p.err)
	case p.sent.Before(asked) && came.Sub(p.sent) > bound:
		return 0, errLate
	}
	return head, nil
}

// prove begins to append a barrier, or joins who has begun.
func (s *Store) prove(c wire.Conn) *proof {
	l := &s.lease
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.proving; p != nil && p.conn == c {
		return p
	}
	p := &proof{conn: c, sent: time.Now(), done: make(chan struct{})}
	l.proving = p
	go func() {
		ctx, cancel := context.WithTimeout(s.ctx, s.options.Timeout)
		defer cancel()
		p.err = s.barrier(ctx, c)
		l.mu.Lock()
		if l.proving == p {
			l.proving = nil
		}
		l.mu.Unlock()
		close(p.done)
	}()
	return p
}

// barrier appends an event that is nothing but an append. It tells those who
// start later where the ledger's newest event was, so that they need not look
// for it through what others had written by then.
func (s *Store) barrier(ctx context.Context, c wire.Conn) error {
	tail := s.tail.glimpse()
	data, err := json.Marshal(barrier{tail.looked.Commit, tail.high})
	if err != nil {
		return err
	}
	var sent time.Time
	var at wire.Written
	for {
		name := s.barrierName()
		if s.bounded.CompareAndSwap(false, true) {
			go s.boundBarriers(c, s.options.Prefix+name)
		}
		sent = time.Now()
		at, err = c.Append(ctx, s.options.Prefix+name, wire.AnyRevision, []wire.Proposal{{ID: uuid.New(), Type: barrierStream, Data: data}})
		if wire.VerdictOf(err) != wire.Deleted {
			break
		}
		s.leaveBarrier(name)
	}
	if err != nil {
		return err
	}
	s.lease.proven(c, sent)
	s.options.Logger.Debug("a barrier shows who leads", "position", at.Commit)
	return nil
}

// barrier is what one tells: up to a record of the server's log that was looked
// at, no event of the ledger came after the newest.
type barrier struct {
	Looked uint64              `json:"looked"`
	Newest eventstore.Position `json:"newest"`
}

// boundBarriers has the server keep one barrier. Where the user may not say so
// they stay, some hundred bytes each.
func (s *Store) boundBarriers(c wire.Conn, stream string) {
	ctx, cancel := context.WithTimeout(s.ctx, s.options.Timeout)
	defer cancel()
	set := func(data []byte, revision int64) error {
		_, err := c.Append(ctx, metastream+stream, revision, []wire.Proposal{{ID: uuid.New(), Type: "$metadata", Data: data}})
		return err
	}
	err := set([]byte(`{"`+maxCount+`":1}`), wire.NoStream)
	if wire.VerdictOf(err) == wire.Conflict {
		err = boundAgain(ctx, c, stream, set)
	}
	switch verdict := wire.VerdictOf(err); {
	case err == nil || verdict == wire.Conflict || verdict == wire.Deleted:
	case verdict.Final():
		s.options.Logger.Info("the server keeps all barriers of the ledger; give their stream a $maxCount of 1",
			"stream", stream, "error", err)
	default:
		s.bounded.Store(false)
	}
}

// boundAgain adds the bound to the settings that the stream has, unless it is there.
func boundAgain(ctx context.Context, c wire.Conn, stream string, set func(data []byte, revision int64) error) error {
	newest, err := c.ReadStream(ctx, metastream+stream, eventstore.End, eventstore.Backwards, 1)
	if err != nil || len(newest) == 0 || bounded(newest[0].Data) {
		return err
	}
	var settings map[string]json.RawMessage
	if json.Unmarshal(newest[0].Data, &settings) != nil || settings == nil { // what is no metadata sets nothing
		settings = map[string]json.RawMessage{}
	}
	settings[maxCount] = json.RawMessage("1")
	data, err := json.Marshal(settings)
	if err != nil {
		return err
	}
	return set(data, int64(newest[0].Revision))
}

// maxCount is the setting of how many events the server keeps of a stream.
const maxCount = "$maxCount"

// bounded reports that the metadata of a stream say how many events to keep.
func bounded(metadata []byte) bool { return among(metadata, maxCount) != "" }
