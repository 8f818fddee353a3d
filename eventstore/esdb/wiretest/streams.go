package wiretest

import (
	"context"
	"errors"
	"io"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	api "github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
)

// streamsService answers for one node.
type streamsService struct {
	api.UnimplementedStreamsServer
	node *Node
}

func (s *streamsService) Append(stream api.Streams_AppendServer) error {
	ctx := stream.Context()
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	options := first.GetOptions()
	if options == nil {
		return told(ctx, errRequest)
	}
	expected, ok := expectedOf(options)
	if !ok {
		return told(ctx, errRequest)
	}
	var events []proposed
	for {
		next, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		m := next.GetProposedMessage()
		id, ok := idOf(m.GetId())
		if !ok {
			return told(ctx, errRequest)
		}
		events = append(events, proposed{id, m.GetMetadata(), m.GetCustomMetadata(), m.GetData()})
	}
	name := string(options.GetStreamIdentifier().GetStreamName())
	done, err := s.node.append(ctx, name, expected, events)
	if err != nil {
		return told(ctx, err)
	}
	return stream.SendAndClose(appendResponse(expected, done))
}

func appendResponse(expected int64, done outcome) *api.AppendResp {
	if done.wrong {
		return &api.AppendResp{Result: &api.AppendResp_WrongExpectedVersion_{WrongExpectedVersion: wrongRevision(expected, done.current)}}
	}
	success := &api.AppendResp_Success{
		CurrentRevisionOption: &api.AppendResp_Success_NoStream{NoStream: &shared.Empty{}},
		PositionOption:        &api.AppendResp_Success_NoPosition{NoPosition: &shared.Empty{}},
	}
	if done.last != nil {
		success.CurrentRevisionOption = &api.AppendResp_Success_CurrentRevision{CurrentRevision: uint64(done.current)}
		success.PositionOption = &api.AppendResp_Success_Position{Position: &api.AppendResp_Position{
			CommitPosition: done.last.position, PreparePosition: done.last.position,
		}}
	}
	return &api.AppendResp{Result: &api.AppendResp_Success_{Success: success}}
}

func wrongRevision(expected, current int64) *api.AppendResp_WrongExpectedVersion {
	w := &api.AppendResp_WrongExpectedVersion{
		CurrentRevisionOption: &api.AppendResp_WrongExpectedVersion_CurrentRevision{CurrentRevision: uint64(current)},
	}
	if current < 0 {
		w.CurrentRevisionOption = &api.AppendResp_WrongExpectedVersion_CurrentNoStream{CurrentNoStream: &shared.Empty{}}
	}
	switch expected {
	case expectAny:
		w.ExpectedRevisionOption = &api.AppendResp_WrongExpectedVersion_ExpectedAny{ExpectedAny: &shared.Empty{}}
	case expectNoStream:
		w.ExpectedRevisionOption = &api.AppendResp_WrongExpectedVersion_ExpectedNoStream{ExpectedNoStream: &shared.Empty{}}
	case expectStreamExists:
		w.ExpectedRevisionOption = &api.AppendResp_WrongExpectedVersion_ExpectedStreamExists{ExpectedStreamExists: &shared.Empty{}}
	default:
		w.ExpectedRevisionOption = &api.AppendResp_WrongExpectedVersion_ExpectedRevision{ExpectedRevision: uint64(expected)}
	}
	return w
}

// expecting is any request that names an expected revision.
type expecting interface {
	GetRevision() uint64
	GetNoStream() *shared.Empty
	GetAny() *shared.Empty
	GetStreamExists() *shared.Empty
}

func expectedOf(options expecting) (expected int64, ok bool) {
	switch {
	case options.GetNoStream() != nil:
		return expectNoStream, true
	case options.GetAny() != nil:
		return expectAny, true
	case options.GetStreamExists() != nil:
		return expectStreamExists, true
	}
	return int64(options.GetRevision()), true
}

func (s *streamsService) Delete(ctx context.Context, request *api.DeleteReq) (*api.DeleteResp, error) {
	done, err := s.remove(ctx, request.GetOptions(), request.GetOptions().GetStreamIdentifier(), false)
	if err != nil {
		return nil, told(ctx, err)
	}
	return &api.DeleteResp{PositionOption: &api.DeleteResp_Position_{Position: &api.DeleteResp_Position{
		CommitPosition: done.last.position, PreparePosition: done.last.position,
	}}}, nil
}

func (s *streamsService) Tombstone(ctx context.Context, request *api.TombstoneReq) (*api.TombstoneResp, error) {
	done, err := s.remove(ctx, request.GetOptions(), request.GetOptions().GetStreamIdentifier(), true)
	if err != nil {
		return nil, told(ctx, err)
	}
	return &api.TombstoneResp{PositionOption: &api.TombstoneResp_Position_{Position: &api.TombstoneResp_Position{
		CommitPosition: done.last.position, PreparePosition: done.last.position,
	}}}, nil
}

func (s *streamsService) remove(ctx context.Context, options expecting, name *shared.StreamIdentifier, tombstone bool) (outcome, error) {
	if err := s.node.admit(ctx); err != nil {
		return outcome{}, err
	}
	expected, ok := expectedOf(options)
	if !ok || len(name.GetStreamName()) == 0 {
		return outcome{}, errRequest
	}
	return s.node.cluster.log.remove(string(name.GetStreamName()), expected, tombstone)
}
