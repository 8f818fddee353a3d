package wiretest_test

import (
	"math"
	"testing"

	"google.golang.org/grpc/codes"

	api "github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
)

// ids are those of events, in order.
func ids(events []*recorded) (all []string) {
	for _, e := range events {
		all = append(all, e.GetId().GetString_())
	}
	return all
}

// three appends three events and tells where they are: on a server that others
// use as well they stand side by side all the same.
func (s *server) three() (events []*api.AppendReq_ProposedMessage, at []uint64) {
	s.Helper()
	events = some(3)
	s.add("a", events...)
	read, _, err := s.stream("a")
	if err != nil || len(read) != 3 {
		s.Fatalf("%v, %v", read, err)
	}
	for _, e := range read {
		at = append(at, e.GetCommitPosition())
	}
	return events, at
}

// nowhere is a text of a read from where no record begins.
const nowhere = "Unexpected ReadAllResult: Error"

func TestFactsOfPositions(t *testing.T) {
	ask(t, []fact{
		{"the first event of $all is not at 0", func(s *server) {
			events, err := s.all(0, 0, forwards, 1)
			if err != nil || len(events) != 1 {
				s.Fatalf("%v, %v", events, err)
			}
			e := events[0]
			s.same("the first", []any{string(e.GetStreamIdentifier().GetStreamName()), e.GetCommitPosition()}, []any{"$$$scavenges", 548})
		}},
		{"forwards with what begins there, backwards without", func(s *server) {
			events, at := s.three()
			read, err := s.all(at[1], at[1], forwards, 2)
			if want := []string{events[1].Id.GetString_(), events[2].Id.GetString_()}; err != nil {
				s.Error(err)
			} else {
				s.same("forwards", ids(read), want)
			}
			read, err = s.all(at[1], at[1], backwards, 1)
			if want := []string{events[0].Id.GetString_()}; err != nil {
				s.Error(err)
			} else {
				s.same("backwards", ids(read), want)
			}
		}},
		{"where no record begins", func(s *server) {
			_, at := s.three()
			for _, p := range []uint64{at[1] - 1, at[1] + 1, (at[1] + at[2]) / 2} {
				for _, direction := range []api.ReadReq_Options_ReadDirection{forwards, backwards} {
					_, err := s.all(p, p, direction, 1)
					s.refused(err, codes.Unknown, nowhere)
				}
			}
		}},
		{"another prepare position", func(s *server) {
			events, at := s.three()
			for _, prepare := range []uint64{0, at[0]} {
				read, err := s.all(at[1], prepare, forwards, 1)
				if err != nil || len(read) != 1 || read[0].GetId().GetString_() != events[1].Id.GetString_() {
					s.Errorf("prepare %d: %v, %v", prepare, read, err)
				}
			}
			_, err := s.all(at[1], at[1]-1, forwards, 1)
			s.refused(err, codes.Unknown, "")
		}},
		{"0/0 backwards is nothing", func(s *server) {
			if events, err := s.all(0, 0, backwards, 1); err != nil || len(events) != 0 {
				s.Errorf("%v, %v", events, err)
			}
		}},
		{"beyond the end: forwards nothing, backwards refused", func(s *server) {
			if events, err := s.all(1<<60, 1<<60, forwards, 1); err != nil || len(events) != 0 {
				s.Errorf("%v, %v", events, err)
			}
			_, err := s.all(1<<60, 1<<60, backwards, 1)
			s.refused(err, codes.Unknown, nowhere)
		}},
		{"2^64-1 is the end", func(s *server) {
			s.three()
			events, err := s.all(math.MaxUint64, math.MaxUint64, backwards, 1)
			if err != nil || len(events) != 1 {
				s.Errorf("%v, %v", events, err)
			}
		}},
		{"no events are not to be read", func(s *server) {
			_, err := s.all(0, 0, forwards, 0)
			s.refused(err, codes.Unknown, "")
		}},
		{"a filter of a read", func(s *server) {
			events, at := s.three()
			s.add("b", one())
			for _, direction := range []api.ReadReq_Options_ReadDirection{forwards, backwards} {
				from := position(at[0], at[0])
				if direction == backwards {
					from = end()
				}
				read, _, err := s.read(&api.ReadReq_Options{
					StreamOption: from, ReadDirection: direction, FilterOption: prefixed(s.name("a")),
					CountOption: &api.ReadReq_Options_Count{Count: 100},
				})
				if err != nil || len(read) != len(events) {
					s.Errorf("%s: %d events, %v", direction, len(read), err)
				}
			}
		}},
		{"a subscription where no record begins is refused before it is confirmed", func(s *server) {
			_, at := s.three()
			for _, filter := range []*api.ReadReq_Options_Filter{nil, s.ours()} {
				_, err := s.subscribe(s.ctx, position(at[1]+1, at[1]+1), filter)
				if s.since(24, 2) {
					s.refused(err, codes.InvalidArgument, "Invalid position")
				} else {
					s.refused(err, codes.Unknown, "Exception was thrown by handler.")
				}
			}
		}},
		{"a subscription begins behind its position", func(s *server) {
			events, at := s.three()
			for _, prepare := range []uint64{0, at[0]} {
				sub, err := s.subscribe(s.ctx, position(at[0], prepare), s.ours())
				if err != nil {
					s.Fatal(err)
				}
				if e := s.event(sub); e.GetId().GetString_() != events[1].Id.GetString_() {
					s.Errorf("prepare %d: begins with %v", prepare, e)
				}
			}
		}},
		{"a subscription from beyond the end is silent", func(s *server) {
			far, err := s.subscribe(s.ctx, position(1<<60, 1<<60), s.ours())
			if err != nil {
				s.Fatal(err)
			}
			near, err := s.subscribe(s.ctx, end(), s.ours())
			if err != nil {
				s.Fatal(err)
			}
			s.add("a", one())
			s.event(near)
			s.silent(far)
		}},
	})
}
