package esdb

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
)

// Types of the server's own records.
const (
	typeMetadata = "$metadata"
	typeDeleted  = "$streamDeleted"
)

// The server keeps the settings of a stream in another one, named so.
const metastream = "$$"

// watch is what was done to the ledger's streams, as far as the server's log has
// been looked at. Every page of history that goes on from there is a look.
type watch struct {
	mu             sync.Mutex // guards what follows
	since, through uint64     // all records after since have been looked at, up to through
	found          map[deed]eventstore.Interference
}

// deed is what there is one of for each stream: of several the first foreign
// event, and the settings that hold now.
type deed struct {
	kind   eventstore.InterferenceKind
	stream string
}

// begin is where to go on looking, for who wants to know what came after a position.
func (w *watch) begin(after eventstore.Position) eventstore.Position {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.through == 0 || uint64(after) < w.since {
		w.since, w.through, w.found = uint64(after), uint64(after), nil
	}
	return eventstore.Position(w.through)
}

// see takes note of what a page has that is no event of the ledger.
func (w *watch) see(s *Store, from wire.Position, rest []*wire.Record, last uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if from == wire.Start && w.since > 0 {
		w.since, w.through, w.found = 0, 0, nil
	}
	if last <= w.through || from.Commit < w.since || from.Commit > w.through {
		return
	}
	for _, r := range rest {
		if r.Position.Commit > w.through {
			w.note(s, r)
		}
	}
	w.through = last
}

func (w *watch) note(s *Store, r *wire.Record) {
	i, ours := s.interference(r)
	if !ours {
		return
	}
	key := deed{i.Kind, i.Stream}
	if i.Detail == "" {
		delete(w.found, key)
		return
	}
	if _, known := w.found[key]; known && i.Kind == eventstore.ForeignEvent {
		return
	}
	if w.found == nil {
		w.found = map[deed]eventstore.Interference{}
	}
	w.found[key] = i
}

// interference is what a record that is no event of the ledger does to a stream of
// the ledger. Settings that do nothing have no detail.
func (s *Store) interference(r *wire.Record) (i eventstore.Interference, ours bool) {
	name, ofSettings := strings.CutPrefix(r.Stream, metastream)
	stream, ours := s.ledgers(name)
	if !ours {
		return i, false
	}
	i = eventstore.Interference{
		Stream: stream, EventID: r.ID, Revision: int64(min(r.Revision, math.MaxInt64)), Position: eventstore.Position(r.Position.Commit),
	}
	switch {
	case r.Type == typeDeleted:
		i.Kind, i.Detail = eventstore.DeletedStream, "was ended by a tombstone. Its events are in the server's log until a scavenge takes them."
	case ofSettings:
		if i.Kind = eventstore.HiddenEvents; settings(r.Data) != "" {
			i.Detail = hides(settings(r.Data)) + "."
		}
	default:
		i.Kind, i.Detail = eventstore.ForeignEvent, fmt.Sprintf("holds an event of type %.100q that is no event of the ledger.", r.Type)
	}
	return i, true
}

// ledgers is the name that a stream of the server has in the ledger, if it is one of
// the ledger's.
func (s *Store) ledgers(name string) (stream string, ours bool) {
	stream, found := strings.CutPrefix(name, s.options.Prefix)
	ours = found && stream != "" && !isBarrier(stream) && !strings.HasPrefix(name, "$")
	return stream, ours && (s.options.Streams == nil || s.options.Streams(stream))
}

// settings says what the metadata of a stream do to it; "" when nothing. What is no
// metadata does nothing, as on the server.
func settings(data []byte) string { return among(data, "$tb", "$maxCount", "$maxAge", "$acl") }

// hiding says by what the metadata of a stream keep events from everybody; "" when
// by nothing.
func hiding(data []byte) string { return among(data, "$tb", "$maxCount", "$maxAge") }

func among(data []byte, names ...string) string {
	var m map[string]json.RawMessage
	if json.Unmarshal(data, &m) != nil {
		return ""
	}
	var what []string
	for _, name := range names {
		value := bytes.TrimSpace(m[name])
		switch text := string(value); {
		case len(value) == 0 || text == "null" || text == "{}" || name == "$tb" && text == "0":
		case name == "$tb" && text == strconv.FormatInt(int64(math.MaxInt64), 10):
			what = append(what, "it was deleted softly")
		default:
			what = append(what, fmt.Sprintf("%s %.100s", name, text))
		}
	}
	return strings.Join(what, ", ")
}

// hides is a sentence about settings.
func hides(settings string) string {
	return "has settings that hide events or say who may read and write them: " + settings +
		". Hidden events are in the server's log until a scavenge takes them"
}

// Interferences is for [eventstore.Interferences].
func (s *Store) Interferences(ctx context.Context, after eventstore.Position) ([]eventstore.Interference, error) {
	for h := s.history(s.watch.begin(after)); ; {
		p := h.next(ctx)
		if p.err != nil {
			return nil, translate(ctx, "look for what was done to the ledger's streams", p.err)
		}
		if p.end {
			return s.watch.after(after), nil
		}
	}
}

func (w *watch) after(position eventstore.Position) []eventstore.Interference {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []eventstore.Interference
	for _, i := range w.found {
		if i.Position > position {
			found = append(found, i)
		}
	}
	slices.SortFunc(found, func(a, b eventstore.Interference) int { return cmp.Compare(a.Position, b.Position) })
	return found
}

// interfered is an error that says what was done to a stream. The server would
// give the same answer again.
func interfered(kind eventstore.InterferenceKind, stream, detail string) error {
	return &wire.Error{Verdict: wire.Deleted, Err: &eventstore.InterferedError{Kind: kind, Stream: stream, Detail: detail}}
}

// named names the stream where the server says of it that it was deleted for good.
func named(stream string, err error) error {
	if err == nil || wire.VerdictOf(err) != wire.Deleted {
		return err
	}
	return interfered(eventstore.DeletedStream, stream, "was ended by a tombstone")
}

// ReadWhole is for [eventstore.ReadWhole]. What the server does not show in the
// stream is looked for in its log.
func (s *Store) ReadWhole(ctx context.Context, stream string) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		begun := false
		for e, err := range s.ReadStream(ctx, stream, 0, eventstore.Forwards) {
			kept := err != nil && (wire.VerdictOf(err) == wire.Deleted || wire.VerdictOf(err) == wire.Denied)
			if !begun && (kept || err == nil && e.Revision > 0) {
				break
			}
			if begun = true; !yield(e, err) {
				return
			}
		}
		if begun {
			return
		}
		there, err := s.WasThere(ctx, stream)
		if err != nil {
			yield(eventstore.Event{}, translate(ctx, "read a stream", err))
		}
		if err != nil || !there {
			return
		}
		for e, err := range s.ReadAll(ctx, 0, eventstore.Filter{}) {
			if (err != nil || e.Stream == stream) && !yield(e, err) {
				return
			}
		}
	}
}

// WasThere is for [eventstore.OwnerOfWhole]: whether a stream of which the server
// shows no beginning may have one: it has events or settings, or it was deleted.
func (s *Store) WasThere(ctx context.Context, stream string) (there bool, err error) {
	look := func(name string) func(c wire.Conn) error {
		return func(c wire.Conn) error {
			newest, err := c.ReadStream(ctx, name, eventstore.End, eventstore.Backwards, 1)
			there = there || len(newest) > 0
			switch wire.VerdictOf(err) {
			case wire.Missing:
				return nil
			case wire.Deleted, wire.Denied: // nobody is denied what has no settings
				there = true
				return nil
			}
			return err
		}
	}
	kept := s.follows()
	if err = s.try(ctx, s.supervisor, look(metastream+s.options.Prefix+stream)); err == nil { // at one cost, there or not
		if !there {
			s.settle(stream, -1, "", kept)
		}
		err = s.try(ctx, s.supervisor, look(s.options.Prefix+stream))
	}
	return there, err
}
