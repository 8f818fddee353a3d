package model

// memory is the ids of the newest events that a node has written, for appends
// that expect nothing. It is bounded in bytes, and ends with the process.
type memory struct {
	bound, size int
	known       map[ID]remembered
	order       []remembered // the oldest first, from next on
	next        int
}

type remembered struct {
	id       ID
	stream   string
	revision int64
}

func newMemory(bound int) *memory { return &memory{bound: bound, known: map[ID]remembered{}} }

func (r remembered) size() int { return 28 + 2*len(r.stream) }

func (m *memory) add(r *Record) {
	e := remembered{r.ID, r.Stream, r.Revision}
	m.known[e.id] = e
	m.order = append(m.order, e)
	m.size += e.size()
	for m.size > m.bound {
		oldest := m.order[m.next]
		m.next++
		m.size -= oldest.size()
		if m.known[oldest.id] == oldest {
			delete(m.known, oldest.id)
		}
	}
	if m.next > len(m.order)/2 {
		m.order, m.next = append([]remembered(nil), m.order[m.next:]...), 0
	}
}

// find is where an id was written last in a stream.
func (m *memory) find(stream string, id ID) (revision int64, ok bool) {
	e, ok := m.known[id]
	return e.revision, ok && e.stream == stream
}
