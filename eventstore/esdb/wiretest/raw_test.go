package wiretest_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	api "github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
)

// server is what facts are asked of, by the bare protocol: the client of the
// library hides half of them.
type server struct {
	*testing.T
	api        api.StreamsClient
	ctx        context.Context
	connection *grpc.ClientConn
	prefix     string // of stream names, the test's own
}

// Expected revisions that are none.
const (
	noStream = -1
	anything = -2
	exists   = -4
)

// one is an event, and some is several.
func one() *api.AppendReq_ProposedMessage { return some(1)[0] }

func some(n int) (events []*api.AppendReq_ProposedMessage) {
	for range n {
		events = append(events, &api.AppendReq_ProposedMessage{
			Id:       &shared.UUID{Value: &shared.UUID_String_{String_: uuid.NewString()}},
			Metadata: map[string]string{"type": "a.x", "content-type": "application/json"},
			Data:     []byte(`{}`), CustomMetadata: []byte(`{}`),
		})
	}
	return events
}

// written is the answer to an append that was taken.
type written struct {
	none     bool  // the stream has no events
	revision int64 // of its newest one
	at       uint64
	prepare  uint64
}

// wrong is the answer that the stream is elsewhere.
type wrong struct {
	none    bool
	current uint64
}

func (w wrong) Error() string { return "wrong revision" }

// append sends events to one of the test's streams.
func (s *server) append(stream string, expected int64, events ...*api.AppendReq_ProposedMessage) (w written, err error) {
	call, err := s.api.Append(s.ctx)
	if err != nil {
		return w, err
	}
	options := &api.AppendReq_Options{StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(s.name(stream))}}
	switch expected {
	case noStream:
		options.ExpectedStreamRevision = &api.AppendReq_Options_NoStream{NoStream: &shared.Empty{}}
	case anything:
		options.ExpectedStreamRevision = &api.AppendReq_Options_Any{Any: &shared.Empty{}}
	case exists:
		options.ExpectedStreamRevision = &api.AppendReq_Options_StreamExists{StreamExists: &shared.Empty{}}
	default:
		options.ExpectedStreamRevision = &api.AppendReq_Options_Revision{Revision: uint64(expected)}
	}
	_ = call.Send(&api.AppendReq{Content: &api.AppendReq_Options_{Options: options}}) // what fails is told below
	for _, e := range events {
		_ = call.Send(&api.AppendReq{Content: &api.AppendReq_ProposedMessage_{ProposedMessage: e}})
	}
	answer, err := call.CloseAndRecv()
	if err != nil {
		return w, err
	}
	if no := answer.GetWrongExpectedVersion(); no != nil {
		return w, wrong{no.GetCurrentNoStream() != nil, no.GetCurrentRevision()}
	}
	yes := answer.GetSuccess()
	return written{yes.GetNoStream() != nil, int64(yes.GetCurrentRevision()), yes.GetPosition().GetCommitPosition(), yes.GetPosition().GetPreparePosition()}, nil
}

// name is a stream of the test's; one that begins with $ keeps its $.
func (s *server) name(stream string) string {
	own := strings.TrimLeft(stream, "$")
	return stream[:len(stream)-len(own)] + s.prefix + own
}

// add appends events that have to be taken, whatever the stream has.
func (s *server) add(stream string, events ...*api.AppendReq_ProposedMessage) written {
	s.Helper()
	w, err := s.append(stream, anything, events...)
	if err != nil {
		s.Fatalf("append to %s: %v", stream, err)
	}
	return w
}

// recorded is an event as it comes back.
type recorded = api.ReadResp_ReadEvent_RecordedEvent

// read takes all that a read brings.
func (s *server) read(options *api.ReadReq_Options) (events []*recorded, found bool, err error) {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	options.UuidOption = &api.ReadReq_Options_UUIDOption{Content: &api.ReadReq_Options_UUIDOption_String_{String_: &shared.Empty{}}}
	if options.FilterOption == nil {
		options.FilterOption = &api.ReadReq_Options_NoFilter{NoFilter: &shared.Empty{}}
	}
	call, err := s.api.Read(ctx, &api.ReadReq{Options: options})
	if err != nil {
		return nil, false, err
	}
	for found = true; ; {
		m, err := call.Recv()
		if errors.Is(err, io.EOF) {
			return events, found, nil
		}
		if err != nil {
			return nil, false, err
		}
		if m.GetStreamNotFound() != nil {
			found = false
		}
		if e := m.GetEvent(); e != nil {
			events = append(events, e.GetEvent())
		}
	}
}

// stream reads a stream of the test's from a revision on.
func (s *server) stream(name string) (events []*recorded, found bool, err error) {
	return s.read(&api.ReadReq_Options{
		StreamOption: &api.ReadReq_Options_Stream{Stream: &api.ReadReq_Options_StreamOptions{
			StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(s.name(name))},
			RevisionOption:   &api.ReadReq_Options_StreamOptions_Start{Start: &shared.Empty{}},
		}},
		CountOption: &api.ReadReq_Options_Count{Count: 1000},
	})
}

// position is where a read of $all begins.
func position(commit, prepare uint64) *api.ReadReq_Options_All {
	return &api.ReadReq_Options_All{All: &api.ReadReq_Options_AllOptions{
		AllOption: &api.ReadReq_Options_AllOptions_Position{Position: &api.ReadReq_Options_Position{CommitPosition: commit, PreparePosition: prepare}},
	}}
}

const (
	forwards  = api.ReadReq_Options_Forwards
	backwards = api.ReadReq_Options_Backwards
)

// all reads $all from a position.
func (s *server) all(commit, prepare uint64, direction api.ReadReq_Options_ReadDirection, count uint64) ([]*recorded, error) {
	events, _, err := s.read(&api.ReadReq_Options{
		StreamOption: position(commit, prepare), ReadDirection: direction, CountOption: &api.ReadReq_Options_Count{Count: count},
	})
	return events, err
}

// ours is a filter for the test's streams.
func (s *server) ours() *api.ReadReq_Options_Filter { return prefixed(s.prefix) }

func prefixed(prefixes ...string) *api.ReadReq_Options_Filter {
	return filtered(&api.ReadReq_Options_FilterOptions_Expression{Prefix: prefixes})
}

func filtered(e *api.ReadReq_Options_FilterOptions_Expression) *api.ReadReq_Options_Filter {
	return &api.ReadReq_Options_Filter{Filter: &api.ReadReq_Options_FilterOptions{
		Filter:                       &api.ReadReq_Options_FilterOptions_StreamIdentifier{StreamIdentifier: e},
		Window:                       &api.ReadReq_Options_FilterOptions_Max{Max: 32},
		CheckpointIntervalMultiplier: 1,
	}}
}

// subscription is one of $all, confirmed.
func (s *server) subscribe(ctx context.Context, from *api.ReadReq_Options_All, filter *api.ReadReq_Options_Filter) (api.Streams_ReadClient, error) {
	options := &api.ReadReq_Options{
		StreamOption: from, CountOption: &api.ReadReq_Options_Subscription{Subscription: &api.ReadReq_Options_SubscriptionOptions{}},
		FilterOption: &api.ReadReq_Options_NoFilter{NoFilter: &shared.Empty{}},
		UuidOption:   &api.ReadReq_Options_UUIDOption{Content: &api.ReadReq_Options_UUIDOption_String_{String_: &shared.Empty{}}},
	}
	if filter != nil {
		options.FilterOption = filter
	}
	call, err := s.api.Read(ctx, &api.ReadReq{Options: options})
	if err != nil {
		return nil, err
	}
	m, err := call.Recv()
	if err == nil && m.GetConfirmation() == nil {
		s.Errorf("a subscription begins with %v, want its confirmation", m)
	}
	return call, err
}

// start and end are the ends of $all.
func start() *api.ReadReq_Options_All {
	return &api.ReadReq_Options_All{All: &api.ReadReq_Options_AllOptions{AllOption: &api.ReadReq_Options_AllOptions_Start{Start: &shared.Empty{}}}}
}

func end() *api.ReadReq_Options_All {
	return &api.ReadReq_Options_All{All: &api.ReadReq_Options_AllOptions{AllOption: &api.ReadReq_Options_AllOptions_End{End: &shared.Empty{}}}}
}

// refused holds an error to a status.
func (s *server) refused(err error, code codes.Code, message string) {
	s.Helper()
	if status.Code(err) != code || !strings.Contains(status.Convert(err).Message(), message) {
		s.Errorf("%v, want %s: %s", err, code, message)
	}
}

// isWrong holds an error to the answer that the stream is elsewhere.
func (s *server) isWrong(err error, want wrong) {
	s.Helper()
	var got wrong
	if !errors.As(err, &got) || got != want {
		s.Errorf("%#v, want %#v", err, want)
	}
}
