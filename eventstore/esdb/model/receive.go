package model

import "context"

// Receive waits for what comes. After an error nothing comes any more, unless
// the error is the context's.
func (s *Subscription) Receive(ctx context.Context) (Message, error) {
	c := s.n.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if err := s.n.ready(ctx, s.life, "receive"); err != nil {
			return Message{}, err
		}
		if s.dropped != c.dropped {
			s.dropped = c.dropped
			if s.phase == live && s.ended == nil {
				s.fall(errSlowLive)
			}
		}
		if len(s.queue) == 0 && s.ended == nil {
			s.look()
		}
		if s.allMetadata != c.allMetadata && s.ended == nil {
			s.ended = errCanceled
		}
		switch {
		case len(s.queue) > 0:
			m := s.queue[0]
			s.queue = s.queue[1:]
			return m, nil
		case s.ended != nil:
			return Message{}, s.ended
		}
		if err := c.wait(ctx); err != nil {
			return Message{}, err
		}
	}
}

// look queues what the subscriber gets next, if there is anything.
func (s *Subscription) look() {
	c := s.n.c
	visible := below(c.log.records, s.n.seen)
	records := visible[indexOf(visible, s.next):]
	for len(s.queue) == 0 && s.ended == nil {
		switch s.phase {
		case inHistory:
			if len(records) == 0 {
				s.phase = goingLive
				continue
			}
			part := records[:min(historyPage, len(records))]
			records = records[len(part):]
			for _, r := range part {
				s.meet(r)
			}
			if len(records) == 0 {
				s.phase = goingLive
			}
		case goingLive:
			if s.behind(records) {
				s.fall(errSlowToLive)
				continue
			}
			s.phase = live
			s.turn()
			s.queue = append(s.queue, Message{Kind: CaughtUp})
		case live:
			if s.behind(records) {
				s.fall(errSlowLive)
				if s.ended == nil {
					continue
				}
				for len(s.queue) < mostBehind { // they are on their way
					s.meet(records[0])
					records = records[1:]
				}
				return
			}
			for ; len(records) > 0 && len(s.queue) == 0; records = records[1:] {
				s.meet(records[0])
			}
			return
		}
	}
}

// meet looks at one event and queues what comes of it.
func (s *Subscription) meet(r *Record) {
	s.next, s.last = r.end, r
	if s.filter.passes(r) {
		s.queue = append(s.queue, Message{Kind: EventAppeared, Event: r})
	}
	if s.looked++; s.every > 0 && s.looked >= s.every {
		s.checkpoint(Position{r.Position, r.Position})
	}
}

func (s *Subscription) checkpoint(p Position) {
	if p != End && half(s.n.c.chance("prepare", "", p.Commit)) {
		p.Prepare = 0
	}
	s.queue = append(s.queue, Message{Kind: CheckpointReached, Position: p})
	s.looked = 0
}

// turn is a change between history and live: checkpoints are counted from here
// on, and newer versions make one.
func (s *Subscription) turn() {
	c := s.n.c
	s.looked = 0
	if s.every == 0 || s.last == nil || !c.version.fallsBack() {
		return
	}
	p := Position{s.last.Position, s.last.Position}
	if c.version.pointsBeyond() {
		if p = End; half(c.chance("beyond", "", s.n.seen)) {
			p = Position{s.n.seen, s.n.seen}
		}
	}
	s.checkpoint(p)
}

// behind reports that more waits for the subscriber than the server keeps.
func (s *Subscription) behind(records []*Record) bool {
	if len(records) <= mostBehind {
		return false
	}
	waits := 0
	for _, r := range records {
		if s.filter.passes(r) {
			if waits++; waits > mostBehind {
				return true
			}
		}
	}
	return false
}

// fall ends a subscription that is too slow, or has it go back to history.
func (s *Subscription) fall(dropped error) {
	if s.n.c.version.fallsBack() {
		if s.phase == live {
			s.turn()
			s.queue = append(s.queue, Message{Kind: FellBehind})
		}
		s.phase = inHistory
		return
	}
	s.ended = dropped
}
