package wiretest_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	api "github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
)

func (s *server) delete(stream string, tombstone bool) {
	s.Helper()
	name := &shared.StreamIdentifier{StreamName: []byte(s.name(stream))}
	var err error
	if tombstone {
		_, err = s.api.Tombstone(s.ctx, &api.TombstoneReq{Options: &api.TombstoneReq_Options{
			StreamIdentifier: name, ExpectedStreamRevision: &api.TombstoneReq_Options_Any{Any: &shared.Empty{}},
		}})
	} else {
		_, err = s.api.Delete(s.ctx, &api.DeleteReq{Options: &api.DeleteReq_Options{
			StreamIdentifier: name, ExpectedStreamRevision: &api.DeleteReq_Options_Any{Any: &shared.Empty{}},
		}})
	}
	if err != nil {
		s.Fatal(err)
	}
}

func (s *server) setMetadata(stream, metadata string) {
	s.Helper()
	e := one()
	e.Metadata["type"], e.Data = "$metadata", []byte(metadata)
	s.add("$$"+stream, e)
}

// inAll is the test's events in $all, its metadata streams included.
func (s *server) inAll(from uint64) (told []string) {
	s.Helper()
	events, _, err := s.read(&api.ReadReq_Options{
		StreamOption: position(from, from), CountOption: &api.ReadReq_Options_Count{Count: 1000},
		FilterOption: prefixed(s.prefix, "$$"+s.prefix),
	})
	if err != nil {
		s.Fatal(err)
	}
	for _, e := range events {
		name := strings.Replace(string(e.GetStreamIdentifier().GetStreamName()), s.prefix, "", 1)
		told = append(told, fmt.Sprintf("%s %d %s", name, e.GetStreamRevision(), e.GetMetadata()["type"]))
	}
	return told
}

func (s *server) revisions(stream string) (revisions []uint64) {
	s.Helper()
	events, _, err := s.stream(stream)
	if err != nil {
		s.Fatal(err)
	}
	for _, e := range events {
		revisions = append(revisions, e.GetStreamRevision())
	}
	return revisions
}

func (s *server) same(what string, got, want any) {
	s.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		s.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestFactsOfStreams(t *testing.T) {
	ask(t, []fact{
		{"all truncated: empty, and found", func(s *server) {
			s.add("a", some(2)...)
			s.setMetadata("a", `{"$tb":2}`)
			events, found, err := s.stream("a")
			if len(events) != 0 || !found || err != nil {
				s.Errorf("%d events, found %t, %v", len(events), found, err)
			}
			if w := s.add("a", one()); w.revision != 2 {
				s.Errorf("goes on with %+v", w)
			}
		}},
		{"soft-deleted: not found, and it goes on behind", func(s *server) {
			first := s.add("a", some(2)...)
			s.delete("a", false)
			if _, found, err := s.stream("a"); found || err != nil {
				s.Errorf("found %t, %v", found, err)
			}
			_, err := s.append("a", exists, one())
			s.refused(err, codes.FailedPrecondition, "deleted")
			if w, err := s.append("a", noStream, one()); err != nil || w.revision != 2 {
				s.Errorf("goes on with %+v, %v", w, err)
			}
			s.same("read", s.revisions("a"), []uint64{2})
			s.same("in $all", s.inAll(first.at), []string{"a 1 a.x", "$$a 0 $metadata", "a 2 a.x", "$$a 1 $metadata"})
		}},
		{"tombstoned: deleted, for good", func(s *server) {
			first := s.add("a", one())
			s.delete("a", true)
			_, _, err := s.stream("a")
			s.refused(err, codes.FailedPrecondition, "deleted")
			_, err = s.append("a", anything, one())
			s.refused(err, codes.FailedPrecondition, "deleted")
			s.same("in $all", s.inAll(first.at), []string{"a 0 a.x", fmt.Sprintf("a %d $streamDeleted", int64(math.MaxInt64))})
		}},
		{"metadata hide in the stream and not in $all", func(s *server) {
			first := s.add("a", one())
			s.add("a", some(4)...)
			for _, c := range []struct {
				metadata string
				want     []uint64
			}{
				{`{"$maxCount":2}`, []uint64{3, 4}},
				{`{"$tb":1}`, []uint64{1, 2, 3, 4}},
				{`{"$tb":1,"$maxCount":1}`, []uint64{4}},
				{`{"$maxAge":3600}`, []uint64{0, 1, 2, 3, 4}},
				{`{"$acl":{"$r":"$all"}}`, []uint64{0, 1, 2, 3, 4}},
				{`{}`, []uint64{0, 1, 2, 3, 4}},
			} {
				s.setMetadata("a", c.metadata)
				s.same(c.metadata, s.revisions("a"), c.want)
			}
			if got := len(s.inAll(first.at)); got != 5+6 {
				s.Errorf("%d events in $all, want 11", got)
			}
			s.same("the metadata's own stream", s.revisions("$$a"), []uint64{5})
		}},
		{"streams that begin with $ are taken from those who may", func(s *server) {
			s.add("$a", one())
			s.same("read", s.revisions("$a"), []uint64{0})
		}},
		{"backwards from beyond the newest begins with the newest", func(s *server) {
			s.add("a", some(3)...)
			for _, from := range []uint64{2, 3, 100, math.MaxInt64} {
				events, err := s.back("a", from, 2)
				if err != nil || len(events) != 2 || events[0].GetStreamRevision() != 2 {
					s.Errorf("from %d: %v, %v", from, events, err)
				}
			}
		}},
		{"no events are not to be read", func(s *server) {
			s.add("a", one())
			_, err := s.back("a", 0, 0)
			s.refused(err, codes.Unknown, "")
		}},
		{"what is not there is not found", func(s *server) {
			if _, found, err := s.stream("none"); found || err != nil {
				s.Errorf("found %t, %v", found, err)
			}
		}},
	})
}

func (s *server) back(stream string, from, count uint64) ([]*recorded, error) {
	events, _, err := s.read(&api.ReadReq_Options{
		StreamOption: &api.ReadReq_Options_Stream{Stream: &api.ReadReq_Options_StreamOptions{
			StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(s.name(stream))},
			RevisionOption:   &api.ReadReq_Options_StreamOptions_Revision{Revision: from},
		}},
		ReadDirection: backwards, CountOption: &api.ReadReq_Options_Count{Count: count},
	})
	return events, err
}
