package model

// Scavenge takes out of the log what nobody can read in its stream any more:
// what was deleted, truncated or is too old. The newest event of a stream
// stays, but beside a tombstone nothing does.
func (c *Cluster) Scavenge() (removed int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.log.clone()
	var kept []*Record
	for _, r := range l.records {
		if l.stays(r) {
			kept = append(kept, r)
		}
	}
	if removed = len(l.records) - len(kept); removed == 0 {
		return 0
	}
	streams := map[string]*stream{}
	for _, r := range kept {
		if streams[r.Stream] == nil {
			streams[r.Stream] = &stream{}
		}
		streams[r.Stream].records = append(streams[r.Stream].records, r)
	}
	l.records, l.streams, l.scavenged = kept, streams, l.end
	c.log = l
	c.wake()
	return removed
}

func (l *eventLog) stays(r *Record) bool {
	if isMetastream(r.Stream) && l.look(originalOf(r.Stream), l.end).tombstoned() {
		return false
	}
	s := l.look(r.Stream, l.end)
	return r.Revision == s.newest() || !s.tombstoned() && r.Revision >= s.first() && !s.limits.tooOld(r)
}
