package wiretest_test

import (
	"bytes"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	api "github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
)

func TestFactsOfAppends(t *testing.T) {
	ask(t, []fact{
		{"a wrong revision is an answer that says where the stream is", func(s *server) {
			_, err := s.append("a", 0, one())
			s.isWrong(err, wrong{none: true})
			_, err = s.append("a", exists, one())
			s.isWrong(err, wrong{none: true})
			s.add("a", some(3)...)
			for _, expected := range []int64{noStream, 0, 1, 3, 7} {
				_, err = s.append("a", expected, one())
				s.isWrong(err, wrong{current: 2})
			}
		}},
		{"the events of an append have the position that the answer says, the last one's", func(s *server) {
			w := s.add("a", some(3)...)
			events, _, err := s.stream("a")
			if err != nil || len(events) != 3 {
				s.Fatalf("%d events, %v", len(events), err)
			}
			if w.revision != 2 || w.at != w.prepare || w.at != events[2].GetCommitPosition() {
				s.Errorf("answered %+v, the last event is at %d", w, events[2].GetCommitPosition())
			}
			for i, e := range events {
				if e.GetCommitPosition() != e.GetPreparePosition() || e.GetStreamRevision() != uint64(i) {
					s.Errorf("event %d: %v", i, e)
				}
			}
		}},
		{"an append of no events is taken, and makes no stream", func(s *server) {
			w, err := s.append("a", noStream)
			if err != nil || !w.none {
				s.Errorf("%+v, %v, want that there is no stream", w, err)
			}
			if _, found, err := s.stream("a"); found || err != nil {
				s.Errorf("found %t, %v", found, err)
			}
			if w := s.add("a", one()); w.revision != 0 {
				s.Errorf("the next append: %+v", w)
			}
		}},
		{"64 writers at one revision: one wins", func(s *server) {
			s.add("a", one())
			var won atomic.Int32
			var writers sync.WaitGroup
			for range 64 {
				writers.Go(func() {
					if _, err := s.append("a", 0, one()); err == nil {
						won.Add(1)
					}
				})
			}
			writers.Wait()
			if won.Load() != 1 {
				s.Errorf("%d won", won.Load())
			}
		}},
		{"an event comes back as it was sent", func(s *server) {
			e := one()
			e.Data, e.CustomMetadata = []byte("{\"a\": 1,\n}\x00\xff"), []byte(`no JSON`) // neither is looked at
			s.add("a", e)
			events, _, err := s.stream("a")
			if err != nil || len(events) != 1 {
				s.Fatalf("%v, %v", events, err)
			}
			got := events[0]
			if !bytes.Equal(got.GetData(), e.Data) || !bytes.Equal(got.GetCustomMetadata(), e.CustomMetadata) || got.GetId().GetString_() != e.Id.GetString_() {
				s.Errorf("got %v, want %v", got, e)
			}
			for _, header := range []string{"type", "content-type", "created"} {
				if got.GetMetadata()[header] == "" {
					s.Errorf("no %s in %v", header, got.GetMetadata())
				}
			}
		}},
		{"an id that is no UUID", func(s *server) {
			e := one()
			e.Id = &shared.UUID{Value: &shared.UUID_String_{String_: "no UUID"}}
			_, err := s.append("a", anything, e)
			s.refused(err, codes.Unknown, "")
		}},
		{"an event without a type", func(s *server) {
			e := one()
			e.Metadata["type"] = ""
			_, err := s.append("a", anything, e)
			s.refused(err, codes.Unknown, "")
		}},
		{"names with any character are taken", func(s *server) {
			for _, name := range []string{"a b", "a/b", "a@b", "a\nb", "ä", "a-b-c", "%00", "a\x00b"} {
				s.add(name, one())
				if events, found, err := s.stream(name); !found || err != nil || string(events[0].GetStreamIdentifier().GetStreamName()) != s.name(name) {
					s.Errorf("%q: %v, found %t, %v", name, events, found, err)
				}
			}
		}},
	})
}

// Sizes, as 23.10 counts them: only the data.
func TestFactsOfSizes(t *testing.T) {
	large := func(data, metadata int) *api.AppendReq_ProposedMessage {
		e := one()
		e.Data, e.CustomMetadata = bytes.Repeat([]byte("x"), data), bytes.Repeat([]byte("y"), metadata)
		return e
	}
	const bound = 1 << 20
	ask(t, []fact{
		{"1 MiB of data, and as much of metadata", func(s *server) {
			s.add("a", large(bound, bound))
		}},
		{"one byte more", func(s *server) {
			if s.since(25, 1) {
				s.Skip("newer servers take more")
			}
			_, err := s.append("a", anything, large(bound+1, 0))
			s.refused(err, codes.InvalidArgument, "Maximum Append Size of 1048576 Exceeded.")
		}},
		{"several events together", func(s *server) {
			if s.since(25, 1) {
				s.Skip("newer servers take more")
			}
			_, err := s.append("a", anything, large(bound/2, 0), large(bound/2, 0), large(1, 0))
			s.refused(err, codes.InvalidArgument, "Maximum Append Size of 1048576 Exceeded.")
			if _, found, err := s.stream("a"); found || err != nil {
				s.Errorf("found %t, %v", found, err)
			}
		}},
		{"a message over 16 MiB", func(s *server) {
			_, err := s.append("a", anything, large(1, 17<<20))
			s.refused(err, codes.ResourceExhausted, "")
		}},
		{"20,000 events in one append", func(s *server) {
			if w := s.add("a", some(20_000)...); w.revision != 19_999 {
				s.Errorf("%+v", w)
			}
		}},
		{"a long name", func(s *server) {
			s.add(strings.Repeat("n", 500), one())
		}},
	})
}
