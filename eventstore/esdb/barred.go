package esdb

import (
	"context"
	"fmt"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
)

// barred knows which streams of the ledger are not to be written to, because of
// settings that somebody gave them on the server. The server would take the append:
// to a stream that was deleted softly one that expects no stream is as welcome as
// one that expects its last revision. A claim would be taken twice, and what was
// decided would rest on events that are hidden.
//
// The ordinary append pays nothing for it. The tail brings every change of settings,
// some milliseconds after it was made. What was done before the tail began is asked
// of the server when the store first meets a stream: beside the call that asks for
// its newest event, or, for an append to a new stream, before it. An append that
// a change of settings still overtakes is found by its answer, which names another
// revision than it has to.
type barred struct {
	mu      sync.Mutex // guards what follows
	streams map[string]standing
	vouched *simplelru.LRU[string, int64] // streams whose settings hide nothing: the revision of these, -1 for none
}

// standing is why a stream is not to be written to.
type standing struct {
	revision int64 // of the settings
	reason   string
}

func newBarred() *barred {
	return &barred{streams: map[string]standing{}, vouched: newLRU[string, int64](maxHeads)}
}

// is reports that a stream is not to be written to, and whether one that is may be
// vouched for without a look.
func (b *barred) is(stream string) (barred, vouched bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, barred = b.streams[stream]
	return barred, b.vouched.Contains(stream)
}

// set takes note of the settings that a stream has since a revision of these, -1 for
// none, unless newer ones are known. It is true when that is news. What hides nothing
// is vouched for as long as changes come to be known.
func (b *barred) set(stream string, revision int64, reason string, kept bool) (news bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	was, bars := b.streams[stream]
	cleared, vouched := b.vouched.Peek(stream)
	if bars && was.revision > revision || vouched && cleared > revision {
		return false
	}
	if reason != "" {
		b.vouched.Remove(stream)
		b.streams[stream] = standing{revision, reason}
		return was.reason != reason
	}
	delete(b.streams, stream)
	if kept {
		b.vouched.Add(stream, revision)
	}
	return bars
}

// notice takes note of a record of the server's that may be the settings of one of
// the ledger's streams, or of the barriers'.
func (s *Store) notice(r *wire.Record) {
	if r.Stream == metastream+s.options.Prefix+s.barrierName() && !bounded(r.Data) {
		s.bounded.Store(false) // a soft delete, for one, leaves no other settings
		return
	}
	if i, ours := s.interference(r); ours && i.Kind == eventstore.HiddenEvents {
		s.settle(i.Stream, i.Revision, hiding(r.Data), s.follows())
	}
}

// settle takes note of the settings of a stream, and tells of them if that is news.
func (s *Store) settle(stream string, revision int64, reason string, kept bool) {
	switch {
	case !s.barred.set(stream, revision, reason, kept):
	case reason == "":
		s.options.Logger.Info("the settings of a stream of the ledger hide nothing any more; it is written to again", "stream", stream)
	default:
		s.options.Logger.Error("a stream of the ledger has settings that hide events; nothing is written to it until that is undone: see docs/runbooks/broken-chain.md",
			"stream", stream, "settings", reason)
	}
}

// follows reports that changes of settings come to be known as they are made.
func (s *Store) follows() bool {
	tail := s.tail.glimpse()
	return tail.seeded && tail.failed == nil
}

// inspect asks for the settings of a stream, and refuses one whose settings hide
// events. A stream that was refused before is looked at again, so that it is written
// to as soon as it may be.
func (s *Store) inspect(ctx context.Context, c wire.Conn, stream string) error {
	kept := s.follows() // from before the question on
	newest, err := c.ReadStream(ctx, metastream+s.options.Prefix+stream, eventstore.End, eventstore.Backwards, 1)
	verdict := wire.VerdictOf(err)
	if err != nil && verdict != wire.Missing && verdict != wire.Denied {
		return named(stream, err)
	}
	if verdict == wire.Denied {
		s.denied.Do(func() {
			s.options.Logger.Warn("the user may not read the settings of the ledger's streams ($mr), so a delete from before this start is found out late: see docs/runbooks/eventstoredb.md",
				"stream", stream)
		})
	}
	if err != nil || len(newest) == 0 { // what the user may not see is left to the tail and to the answers of appends
		s.settle(stream, -1, "", kept)
		return nil
	}
	reason := hiding(newest[0].Data)
	s.settle(stream, int64(newest[0].Revision), reason, kept)
	if reason == "" {
		return nil
	}
	return interfered(eventstore.HiddenEvents, stream, fmt.Sprintf("%s. Nothing is written to it until that is undone: see docs/runbooks/broken-chain.md. "+
		"What hides them is event %s at revision %d of %s", hides(reason), newest[0].ID, newest[0].Revision, newest[0].Stream))
}
