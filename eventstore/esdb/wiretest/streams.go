package wiretest

import (
	"context"
	"errors"
	"io"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	api "github.com/EventStore/EventStore-Client-Go/v4/protos/streams"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
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
		return s.node.told(ctx, errRequest)
	}
	expected := expectedOf(options)
	var events []model.Proposed
	most := s.node.cluster.model.MaxAppend()
	for size := 0; ; {
		next, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		p, err := proposed(next.GetProposedMessage())
		if err != nil {
			return s.node.told(ctx, err)
		}
		events = append(events, p)
		if size += len(p.Data); size > most {
			break // refused before the last has come
		}
	}
	name := nameOf(options.GetStreamIdentifier())
	done, err := s.node.append(ctx, name, expected, events)
	if err != nil {
		return s.node.told(ctx, err)
	}
	return stream.SendAndClose(appendResponse(expected, done))
}

func appendResponse(expected int64, done model.Appended) *api.AppendResp {
	if done.Wrong {
		return &api.AppendResp{Result: &api.AppendResp_WrongExpectedVersion_{WrongExpectedVersion: wrongRevision(expected, done.Current)}}
	}
	success := &api.AppendResp_Success{
		CurrentRevisionOption: &api.AppendResp_Success_CurrentRevision{CurrentRevision: uint64(done.Current)},
		PositionOption: &api.AppendResp_Success_Position{Position: &api.AppendResp_Position{
			CommitPosition: done.Position, PreparePosition: done.Position,
		}},
	}
	if done.Current < 0 {
		success.CurrentRevisionOption = &api.AppendResp_Success_NoStream{NoStream: &shared.Empty{}}
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
	case model.ExpectAny:
		w.ExpectedRevisionOption = &api.AppendResp_WrongExpectedVersion_ExpectedAny{ExpectedAny: &shared.Empty{}}
	case model.ExpectNoStream:
		w.ExpectedRevisionOption = &api.AppendResp_WrongExpectedVersion_ExpectedNoStream{ExpectedNoStream: &shared.Empty{}}
	case model.ExpectStreamExists:
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

func expectedOf(options expecting) int64 {
	switch {
	case options.GetNoStream() != nil:
		return model.ExpectNoStream
	case options.GetAny() != nil:
		return model.ExpectAny
	case options.GetStreamExists() != nil:
		return model.ExpectStreamExists
	}
	return int64(options.GetRevision())
}

func (s *streamsService) Delete(ctx context.Context, request *api.DeleteReq) (*api.DeleteResp, error) {
	done, err := s.remove(ctx, request.GetOptions(), request.GetOptions().GetStreamIdentifier(), s.node.model.Delete)
	if err != nil {
		return nil, s.node.told(ctx, err)
	}
	return &api.DeleteResp{PositionOption: &api.DeleteResp_Position_{Position: &api.DeleteResp_Position{
		CommitPosition: done.Position, PreparePosition: done.Position,
	}}}, nil
}

func (s *streamsService) Tombstone(ctx context.Context, request *api.TombstoneReq) (*api.TombstoneResp, error) {
	done, err := s.remove(ctx, request.GetOptions(), request.GetOptions().GetStreamIdentifier(), s.node.model.Tombstone)
	if err != nil {
		return nil, s.node.told(ctx, err)
	}
	return &api.TombstoneResp{PositionOption: &api.TombstoneResp_Position_{Position: &api.TombstoneResp_Position{
		CommitPosition: done.Position, PreparePosition: done.Position,
	}}}, nil
}

func (s *streamsService) remove(ctx context.Context, options expecting, name *shared.StreamIdentifier,
	do func(ctx context.Context, insists bool, stream string, expected int64) (model.Appended, error)) (model.Appended, error) {
	insists, err := s.node.admit(ctx)
	if err == nil {
		err = s.node.allow(ctx, model.MayWrite, nameOf(name))
	}
	if err != nil {
		return model.Appended{}, err
	}
	return do(ctx, insists, nameOf(name), expectedOf(options))
}
