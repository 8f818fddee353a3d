package model

import (
	"encoding/binary"
	"maps"
	"slices"
	"sort"
)

// firstPosition is where the first event of $all begins; records of the
// server's that no reader sees lie before it.
const firstPosition = 548

// eventLog is what a quorum of the nodes has. Its slices are only appended to,
// or replaced as a whole: whoever holds one may read on without the lock.
type eventLog struct {
	records   []*Record
	streams   map[string]*stream
	end       uint64   // where the next record begins
	blank     []uint64 // where records begin that no reader sees
	scavenged uint64   // below it a position stands for the next record that is still there
	own       uint64   // how many events the server has made by itself
}

func newLog() *eventLog {
	l := &eventLog{streams: map[string]*stream{}, end: firstPosition, blank: []uint64{0}}
	l.addOwn(metastreamOf("$scavenges"), typeMetadata, `{"$maxAge":7776000}`)
	return l
}

// addOwn adds an event of the server's.
func (l *eventLog) addOwn(stream, eventType, data string) *Record {
	return l.add(stream, Proposed{ID: l.ownID(), Type: eventType, ContentType: contentJSON, Data: []byte(data)})
}

// ownID makes the next id of an event of the server's.
func (l *eventLog) ownID() (id ID) {
	l.own++
	id[6], id[8] = 0x80, 0x80 // a UUID of version 8
	binary.BigEndian.PutUint32(id[:4], 0xe5db)
	binary.BigEndian.PutUint32(id[12:], uint32(l.own))
	return id
}

// add appends an event to the log and to its stream.
func (l *eventLog) add(name string, p Proposed) *Record {
	s := l.stream(name)
	return l.put(s, newRecord(name, s.newest()+1, l.end, p))
}

// stream is a stream to write to.
func (l *eventLog) stream(name string) *stream {
	s := l.streams[name]
	if s == nil {
		s = &stream{}
		l.streams[name] = s
	}
	return s
}

func (l *eventLog) put(s *stream, r *Record) *Record {
	s.records = append(s.records, r)
	l.records = append(l.records, r)
	l.end = r.end
	return r
}

// addBlank adds a record that no reader sees.
func (l *eventLog) addBlank() (position uint64) {
	position = l.end
	l.blank = append(l.blank, position)
	l.end += overhead
	return position
}

// below is the part of the log before a position.
func below(records []*Record, position uint64) []*Record {
	if n := len(records); n == 0 || records[n-1].Position < position {
		return records
	}
	return records[:indexOf(records, position)]
}

// indexOf finds the first record at or behind a position.
func indexOf(records []*Record, position uint64) int {
	return sort.Search(len(records), func(i int) bool { return records[i].Position >= position })
}

// begins reports that a record, seen by readers or not, begins at a position.
func (l *eventLog) begins(position uint64) bool {
	if i := indexOf(l.records, position); i < len(l.records) && l.records[i].Position == position {
		return true
	}
	_, found := slices.BinarySearch(l.blank, position)
	return found
}

// clone is a copy that goes its own way. Records are shared.
func (l *eventLog) clone() *eventLog {
	c := *l
	c.records, c.blank = slices.Clone(l.records), slices.Clone(l.blank)
	c.streams = maps.Clone(l.streams)
	for name, s := range c.streams {
		c.streams[name] = &stream{slices.Clone(s.records)}
	}
	return &c
}
