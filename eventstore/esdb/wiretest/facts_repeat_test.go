package wiretest_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	api "github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
)

// What the server takes for a repetition, and answers as it did the first time.
func TestFactsOfRepetitions(t *testing.T) {
	pick := func(events []*api.AppendReq_ProposedMessage, which ...int) (picked []*api.AppendReq_ProposedMessage) {
		for _, i := range which {
			if i < 0 {
				picked = append(picked, one()) // a new one
				continue
			}
			picked = append(picked, events[i])
		}
		return picked
	}
	ask(t, []fact{
		{"the same at the old revision, whatever came since", func(s *server) {
			events := some(3)
			first, err := s.append("a", noStream, events...)
			if err != nil {
				s.Fatal(err)
			}
			s.add("a", some(100)...)
			if again, err := s.append("a", noStream, events...); err != nil || again != first {
				s.Errorf("%+v, %v, want %+v", again, err, first)
			}
		}},
		{"at a revision a prefix is a repetition, all else is refused", func(s *server) {
			events := some(3)
			s.add("a", one())
			if _, err := s.append("a", 0, events...); err != nil {
				s.Fatal(err)
			}
			for _, which := range [][]int{{0}, {0, 1}, {0, 1, 2}} {
				if w, err := s.append("a", 0, pick(events, which...)...); err != nil || w.revision != int64(len(which)) {
					s.Errorf("%v: %+v, %v", which, w, err)
				}
			}
			for _, which := range [][]int{{1, 2}, {2}, {1, 0, 2}, {0, -1, 2}, {-1, 1, 2}, {0, 1, 2, -1}} {
				_, err := s.append("a", 0, pick(events, which...)...)
				s.isWrong(err, wrong{current: 3})
			}
		}},
		{"with Any every selection in any order is a repetition", func(s *server) {
			events := some(3)
			s.add("a", events...)
			for _, which := range [][]int{{0, 1, 2}, {1, 0, 2}, {2}, {1, 2}} {
				w, err := s.append("a", anything, pick(events, which...)...)
				if last := int64(which[len(which)-1]); err != nil || w.revision != last {
					s.Errorf("%v: %+v, %v, want revision %d", which, w, err, last)
				}
			}
			_, err := s.append("a", anything, pick(events, 0, 1, -1)...)
			s.isWrong(err, wrong{current: 2})
		}},
		{"with Any and a new event first all is written, known ones twice", func(s *server) {
			events := some(3)
			s.add("a", events...)
			if w := s.add("a", pick(events, -1, 1, 2)...); w.revision != 5 {
				s.Errorf("%+v, want revision 5", w)
			}
			read, _, err := s.stream("a")
			if err != nil || len(read) != 6 || read[4].GetId().GetString_() != events[1].Id.GetString_() {
				s.Errorf("%d events, %v", len(read), err)
			}
		}},
		{"the same id with other data: the first data stay", func(s *server) {
			e := one()
			s.add("a", e)
			other := proto.Clone(e).(*api.AppendReq_ProposedMessage)
			other.Data = []byte(`{"other":1}`)
			if w, err := s.append("a", noStream, other); err != nil || w.revision != 0 {
				s.Errorf("%+v, %v", w, err)
			}
			if read, _, err := s.stream("a"); err != nil || len(read) != 1 || string(read[0].GetData()) != `{}` {
				s.Errorf("%v, %v", read, err)
			}
		}},
		{"the same id in another stream, and twice in one append, is written", func(s *server) {
			e := one()
			s.add("a", e)
			if w := s.add("b", e, e); w.revision != 1 {
				s.Errorf("%+v, want revision 1", w)
			}
		}},
		{"after a soft delete or a truncation it is answered without a position", func(s *server) {
			for _, hide := range []func(stream string){
				func(stream string) { s.delete(stream, false) },
				func(stream string) { s.setMetadata(stream, `{"$tb":2}`) },
			} {
				s.prefix += "x"
				events := some(2)
				s.add("a", events...)
				hide("a")
				w, err := s.append("a", noStream, events...)
				if err != nil || w.at != 0 || w.prepare != 0 {
					s.Errorf("%+v, %v, want position 0/0", w, err)
				}
			}
		}},
	})
}
