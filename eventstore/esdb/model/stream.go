package model

import "sort"

// stream is the events of one stream that are still in the log, in order. After
// a scavenge there are gaps between their revisions.
type stream struct{ records []*Record }

// newest is the revision of the newest event, -1 where there is none.
func (s *stream) newest() int64 {
	if s == nil || len(s.records) == 0 {
		return -1
	}
	return s.records[len(s.records)-1].Revision
}

// at is the event with a revision, nil if it is not there.
func (s *stream) at(revision int64) *Record {
	if i := s.index(revision); i < len(s.records) && s.records[i].Revision == revision {
		return s.records[i]
	}
	return nil
}

// index finds the first event with a revision or a later one.
func (s *stream) index(revision int64) int {
	if s == nil {
		return 0
	}
	if n := int64(len(s.records)); n > 0 && revision >= 0 && revision < n && s.records[revision].Revision == revision {
		return int(revision) // no gaps before it
	}
	return sort.Search(len(s.records), func(i int) bool { return s.records[i].Revision >= revision })
}

// view is a stream as one node sees it.
type view struct {
	*stream
	limits *Metadata // nil for none
}

// look is a stream with all that begins below a position.
func (l *eventLog) look(name string, end uint64) view {
	v := view{stream: l.visible(name, end)}
	if isMetastream(name) {
		v.limits = ofMetastreams
	} else if meta := l.visible(metastreamOf(name), end); meta != nil && len(meta.records) > 0 {
		v.limits = meta.records[len(meta.records)-1].limits
	}
	return v
}

func (l *eventLog) visible(name string, end uint64) *stream {
	s := l.streams[name]
	if s == nil || end >= l.end {
		return s
	}
	return &stream{below(s.records, end)}
}

// tombstoned reports that the stream is deleted for good.
func (v view) tombstoned() bool { return v.newest() == DeletedRevision }

func (v view) softDeleted() bool { return v.limits.deleted() }

// first is the lowest revision that a reader may see.
func (v view) first() int64 { return v.limits.first(v.newest()) }

// page is what readers see, at most count events: from a revision on, or from
// it back. It touches no more than that, however long the stream is.
func (v view) page(from int64, backwards bool, count uint64) (page []*Record) {
	first, step, i := v.first(), 1, v.index(max(from, v.first()))
	if backwards {
		step = -1
		if i = v.index(from); i == v.len() || v.records[i].Revision > from {
			i--
		}
	}
	for ; i >= 0 && i < v.len() && uint64(len(page)) < count && v.records[i].Revision >= first; i += step {
		if !v.limits.tooOld(v.records[i]) {
			page = append(page, v.records[i])
		}
	}
	return page
}

func (v view) len() int {
	if v.stream == nil {
		return 0
	}
	return len(v.records)
}
