package wiretest

import (
	"slices"
)

// maxAppendSize is the real server's default.
const maxAppendSize = 1 << 20

// Expected revisions that are no revision.
const (
	expectNoStream     int64 = -1
	expectAny          int64 = -2
	expectStreamExists int64 = -4
)

// outcome is the answer to an append.
type outcome struct {
	wrong   bool  // the stream was not at the expected revision
	current int64 // revision of the stream's newest event then, or of the append's last one
	last    *record
}

// append does what the real server does: it checks the expected revision, and
// answers an append whose events are there already, at that place, as it did
// the first time.
func (l *eventLog) append(name string, expected int64, events []proposed) (outcome, error) {
	size := 0
	for _, e := range events {
		if e.metadata["type"] == "" || e.metadata["content-type"] == "" {
			return outcome{}, errMetadata
		}
		size += e.size()
	}
	switch {
	case name == "":
		return outcome{}, errNoName
	case name[0] == '$':
		return outcome{}, errSystemStream
	case size > maxAppendSize:
		return outcome{}, errTooLarge
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.streams[name]
	if s == nil {
		s = &stream{}
	}
	if s.closed {
		return outcome{}, errDeleted(name)
	}
	head := s.head()
	if last, known := l.repeated(name, s, expected, events); known {
		return outcome{current: int64(last.revision), last: last}, nil
	}
	exists := head >= 0
	if expected >= expectNoStream && expected != head || expected == expectStreamExists && !exists {
		return outcome{wrong: true, current: head}, nil
	}
	for _, e := range events {
		r := l.add(name, e)
		head = int64(r.revision)
		if len(l.records)%systemEvery == 0 {
			l.own()
		}
	}
	l.changed()
	s = l.streams[name]
	return outcome{current: head, last: l.records[s.indexes[head]]}, nil
}

// repeated finds an append that was made before: at the expected place, or, for
// those that expect nothing, where its first event is.
func (l *eventLog) repeated(name string, s *stream, expected int64, events []proposed) (last *record, known bool) {
	if len(events) == 0 {
		return nil, false
	}
	first := expected + 1
	if expected < expectNoStream {
		i, ok := l.ids[events[0].id]
		if !ok || l.records[i].stream != name {
			return nil, false
		}
		first = int64(l.records[i].revision)
	}
	if first+int64(len(events)) > int64(len(s.indexes)) {
		return nil, false
	}
	there := s.indexes[first : first+int64(len(events))]
	same := slices.EqualFunc(there, events, func(i int, e proposed) bool { return l.records[i].id == e.id })
	return l.records[there[len(there)-1]], same
}

// remove makes the events of a stream invisible, for good with a tombstone.
func (l *eventLog) remove(name string, expected int64, tombstone bool) (outcome, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.streams[name]
	if s == nil {
		s = &stream{}
		l.streams[name] = s
	}
	head := s.head()
	switch {
	case s.closed:
		return outcome{}, errDeleted(name)
	case expected >= expectNoStream && expected != head, expected == expectStreamExists && head < 0:
		return outcome{}, errWrongRevision(name, expected, head)
	}
	s.truncated, s.closed = len(s.indexes), tombstone
	l.own()
	l.changed()
	return outcome{current: head, last: l.records[len(l.records)-1]}, nil
}
