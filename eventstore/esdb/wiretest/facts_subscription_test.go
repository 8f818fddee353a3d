package wiretest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	api "github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
)

// event waits for the next event of a subscription.
func (s *server) event(sub api.Streams_ReadClient) *recorded {
	s.Helper()
	for {
		m, err := sub.Recv()
		if err != nil {
			s.Fatal(err)
		}
		if e := m.GetEvent(); e != nil {
			return e.GetEvent()
		}
	}
}

// silent holds a subscription to bringing no event for a moment.
func (s *server) silent(sub api.Streams_ReadClient) {
	s.Helper()
	came := make(chan *recorded, 1)
	go func() {
		for {
			m, err := sub.Recv()
			if err != nil {
				return
			}
			if e := m.GetEvent(); e != nil {
				came <- e.GetEvent()
				return
			}
		}
	}()
	select {
	case e := <-came:
		s.Errorf("it brings %v", e)
	case <-time.After(100 * time.Millisecond):
	}
}

// until receives until a subscription has caught up.
func (s *server) until(sub api.Streams_ReadClient) (events []*recorded, checkpoints []*api.ReadResp_Checkpoint) {
	s.Helper()
	for {
		m, err := sub.Recv()
		switch {
		case err != nil:
			s.Fatal(err)
		case m.GetEvent() != nil:
			events = append(events, m.GetEvent().GetEvent())
		case m.GetCheckpoint() != nil:
			checkpoints = append(checkpoints, m.GetCheckpoint())
		case m.GetCaughtUp() != nil:
			return events, checkpoints
		}
	}
}

func TestFactsOfSubscriptions(t *testing.T) {
	none := prefixed("nobody writes to this-")
	ask(t, []fact{
		{"what was answered before comes before it has caught up", func(s *server) {
			for n := range 20 {
				s.add("a", some(5)...)
				ctx, cancel := context.WithCancel(s.ctx)
				sub, err := s.subscribe(ctx, start(), s.ours())
				if err != nil {
					s.Fatal(err)
				}
				if events, _ := s.until(sub); len(events) != 1+5*(n+1) { // with the probe
					s.Errorf("round %d: %d events", n, len(events))
				}
				cancel()
			}
		}},
		{"it catches up with a filter that passes nothing, and from the end", func(s *server) {
			for _, from := range []*api.ReadReq_Options_All{start(), end()} {
				sub, err := s.subscribe(s.ctx, from, none)
				if err != nil {
					s.Fatal(err)
				}
				s.until(sub)
			}
		}},
		{"a filter says how far it is, by events it looked at", func(s *server) {
			first := s.add("a", some(32*4)...)
			events, _, err := s.stream("a")
			if err != nil {
				s.Fatal(err)
			}
			begins := map[uint64]bool{}
			for _, e := range events {
				begins[e.GetCommitPosition()] = true
			}
			from := events[0].GetCommitPosition()
			sub, err := s.subscribe(s.ctx, position(from, from), none)
			if err != nil {
				s.Fatal(err)
			}
			_, checkpoints := s.until(sub)
			if len(checkpoints) < 3 {
				s.Errorf("%d checkpoints within %d events", len(checkpoints), len(events))
			}
			for _, c := range checkpoints {
				if at := c.GetCommitPosition(); at <= first.at && !begins[at] {
					s.Errorf("a checkpoint at %d, where no event begins", at)
				}
			}
		}},
		{"a checkpoint is never behind what was delivered", func(s *server) {
			s.add("a", some(200)...)
			sub, err := s.subscribe(s.ctx, start(), s.ours())
			if err != nil {
				s.Fatal(err)
			}
			for delivered, n := uint64(0), 0; n < 200; {
				m, err := sub.Recv()
				if err != nil {
					s.Fatal(err)
				}
				if e := m.GetEvent(); e != nil {
					delivered, n = e.GetEvent().GetCommitPosition(), n+1
				}
				if c := m.GetCheckpoint(); c != nil && c.GetCommitPosition() < delivered {
					s.Errorf("a checkpoint at %d behind %d", c.GetCommitPosition(), delivered)
				}
			}
		}},
		{"a bad regular expression", func(s *server) {
			_, err := s.subscribe(s.ctx, start(), filtered(&api.ReadReq_Options_FilterOptions_Expression{Regex: "("}))
			s.refused(err, codes.Unknown, "")
		}},
		{"hundreds of prefixes, and an empty one that is all", func(s *server) {
			s.add("a", one())
			var many []string
			for n := range 500 {
				many = append(many, fmt.Sprintf("none-%d-", n))
			}
			for _, prefixes := range [][]string{append(many, s.prefix), {""}} {
				sub, err := s.subscribe(s.ctx, start(), prefixed(prefixes...))
				if err != nil {
					s.Fatal(err)
				}
				if events, _ := s.until(sub); len(events) < 2 {
					s.Errorf("%d events", len(events))
				}
			}
		}},
		{"a reader that is too slow is dropped", func(s *server) {
			slow, err := s.subscribe(s.ctx, end(), s.ours())
			if err != nil {
				s.Fatal(err)
			}
			s.until(slow)
			large := some(1)[0]
			large.Data = make([]byte, 8<<10)
			for range 400 { // more than the connection holds
				large.Id = &shared.UUID{Value: &shared.UUID_String_{String_: some(1)[0].Id.GetString_()}}
				s.add("a", large)
			}
			for {
				m, err := slow.Recv()
				if err != nil {
					s.refused(err, codes.Aborted, "Consumer too slow to handle event while")
					return
				}
				if m.GetFellBehind() != nil {
					return // 24.2 and newer
				}
			}
		}},
		{"a connection carries 100 requests at once", func(s *server) {
			const most = 100
			ctx, cancel := context.WithCancel(s.ctx)
			defer cancel()
			first, leave := context.WithCancel(ctx)
			for n := range most {
				of := ctx
				if n == 0 {
					of = first
				}
				if _, err := s.subscribe(of, end(), none); err != nil {
					s.Fatal(err)
				}
			}
			late := s.ctx
			var done context.CancelFunc
			s.ctx, done = context.WithTimeout(late, 200*time.Millisecond)
			_, err := s.append("a", anything, one())
			done()
			s.refused(err, codes.DeadlineExceeded, "")
			s.ctx = late
			leave()
			s.add("a", one())
		}},
	})
}
