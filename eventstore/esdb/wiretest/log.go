package wiretest

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	api "github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
)

// proposed is an event on its way in.
type proposed struct {
	id           uuid.UUID
	metadata     map[string]string
	custom, data []byte
}

func (p proposed) size() int { return len(p.data) + len(p.custom) + 2*len(p.metadata["type"]) }

// record is an event that is in.
type record struct {
	proposed
	stream   string
	revision uint64
	position uint64 // where it begins; the next record begins where it ends
	end      uint64
}

func (r *record) system() bool { return r.metadata["type"][0] == '$' }

// stream is where the events of one stream are.
type stream struct {
	indexes   []int // into the log, by revision
	truncated int   // revisions below are gone for readers, as after a delete
	closed    bool  // by a tombstone
}

func (s *stream) head() int64 { return int64(len(s.indexes)) - 1 }

// systemEvery is after how many records one of the server's own comes.
const systemEvery = 7

// eventLog is what the nodes share.
type eventLog struct {
	mu      sync.Mutex // guards all below
	records []*record  // elements never change
	streams map[string]*stream
	ids     map[uuid.UUID]int // the newest record with an id
	grown   chan struct{}     // closed, and replaced, when records are added

	served atomic.Int64 // events that reads of streams have brought
}

func newLog() *eventLog {
	l := &eventLog{streams: map[string]*stream{}, ids: map[uuid.UUID]int{}, grown: make(chan struct{})}
	l.own()
	return l
}

// own adds an event of the server's.
func (l *eventLog) own() {
	l.add("$stats-127.0.0.1", proposed{
		id:       uuid.New(),
		metadata: map[string]string{"type": "$statsCollected", "content-type": "application/json"},
		data:     []byte(`{"proc":{}}`),
	})
}

// add appends to the log. The caller holds mu, but for newLog.
func (l *eventLog) add(name string, p proposed) *record {
	s := l.streams[name]
	if s == nil {
		s = &stream{}
		l.streams[name] = s
	}
	const first, overhead = 1024, 96
	position := uint64(first)
	if n := len(l.records); n > 0 {
		position = l.records[n-1].end
	}
	p.metadata = withCreated(p.metadata)
	r := &record{proposed: p, stream: name, revision: uint64(len(s.indexes)), position: position, end: position + overhead + uint64(p.size())}
	s.indexes = append(s.indexes, len(l.records))
	l.ids[p.id] = len(l.records)
	l.records = append(l.records, r)
	return r
}

// withCreated adds the time in ticks of 100 ns.
func withCreated(metadata map[string]string) map[string]string {
	out := make(map[string]string, len(metadata)+1)
	for k, v := range metadata {
		out[k] = v
	}
	out["created"] = strconv.FormatInt(time.Now().UnixNano()/100, 10)
	return out
}

// changed wakes those who wait for records. The caller holds mu.
func (l *eventLog) changed() {
	close(l.grown)
	l.grown = make(chan struct{})
}

// snapshot is all records, and a channel that closes when there are more.
func (l *eventLog) snapshot() ([]*record, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.records, l.grown
}

// page is what readers see of a stream, at most count events: from a revision
// on, or from it back. It copies no more than that, however long the stream is.
func (l *eventLog) page(name string, revision, count uint64, backwards bool) (page []*record, newest int64, closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.streams[name]
	if s == nil || s.truncated == len(s.indexes) {
		return nil, -1, s != nil && s.closed
	}
	first, last := uint64(s.truncated), uint64(s.head())
	from, step := max(revision, first), int64(1)
	if backwards {
		from, step = min(revision, last), -1
	}
	for r := int64(from); r >= int64(first) && r <= int64(last) && uint64(len(page)) < count; r += step {
		page = append(page, l.records[s.indexes[r]])
	}
	l.served.Add(int64(len(page)))
	return page, int64(last), s.closed
}

// at finds the record that begins at a position, or the end of the log.
func at(records []*record, position uint64) (index int, ok bool) {
	index = sort.Search(len(records), func(i int) bool { return records[i].position >= position })
	if index == len(records) {
		return index, position == 0 || len(records) > 0 && position == records[index-1].end
	}
	return index, records[index].position == position
}

func (r *record) wire() *api.ReadResp_ReadEvent {
	return &api.ReadResp_ReadEvent{
		Event: &api.ReadResp_ReadEvent_RecordedEvent{
			Id:               wireID(r.id),
			StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(r.stream)},
			StreamRevision:   r.revision,
			PreparePosition:  r.position,
			CommitPosition:   r.position,
			Metadata:         r.metadata,
			CustomMetadata:   r.custom,
			Data:             r.data,
		},
		Position: &api.ReadResp_ReadEvent_CommitPosition{CommitPosition: r.position},
	}
}

func (r *record) response() *api.ReadResp {
	return &api.ReadResp{Content: &api.ReadResp_Event{Event: r.wire()}}
}

// Events is how many events there are that are not the server's own.
func (c *Cluster) Events() int {
	records, _ := c.log.snapshot()
	return len(slices.DeleteFunc(slices.Clone(records), (*record).system))
}

// Served is how many events reads of streams have brought, to whomever.
func (c *Cluster) Served() int { return int(c.log.served.Load()) }

// Tamper changes a byte of the stored data of a stream's event, which no
// client of a real server can do.
func (c *Cluster) Tamper(name string, revision int) error {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	s := c.log.streams[name]
	if s == nil || revision >= len(s.indexes) {
		return fmt.Errorf("stream %s has no revision %d", name, revision)
	}
	i := s.indexes[revision]
	changed := *c.log.records[i]
	changed.data = slices.Clone(changed.data)
	changed.data[len(changed.data)/2] ^= 1
	c.log.records = slices.Clone(c.log.records)
	c.log.records[i] = &changed
	return nil
}
