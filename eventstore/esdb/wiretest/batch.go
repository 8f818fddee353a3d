package wiretest

import (
	"context"
	"errors"
	"io"

	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	api "github.com/EventStore/EventStore-Client-Go/v4/protos/streams"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
)

// BatchAppend takes appends in pieces, by correlation id, and answers each once
// its last piece is there.
func (s *streamsService) BatchAppend(stream api.Streams_BatchAppendServer) error {
	type pieces struct {
		options *api.BatchAppendReq_Options
		events  []model.Proposed
	}
	open := map[string]*pieces{}
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		key := request.GetCorrelationId().String()
		p := open[key]
		if p == nil {
			if p = (&pieces{options: request.GetOptions()}); p.options == nil {
				return s.node.told(stream.Context(), errRequest)
			}
			open[key] = p
		}
		for _, m := range request.GetProposedMessages() {
			e, err := proposed(m)
			if err != nil {
				return s.node.told(stream.Context(), err)
			}
			p.events = append(p.events, e)
		}
		if !request.GetIsFinal() {
			continue
		}
		delete(open, key)
		answer := s.batch(stream.Context(), p.options, p.events)
		answer.CorrelationId, answer.StreamIdentifier = request.GetCorrelationId(), p.options.GetStreamIdentifier()
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}

func (s *streamsService) batch(ctx context.Context, options *api.BatchAppendReq_Options, events []model.Proposed) *api.BatchAppendResp {
	expected := int64(options.GetStreamPosition())
	switch {
	case options.GetNoStream() != nil:
		expected = model.ExpectNoStream
	case options.GetAny() != nil:
		expected = model.ExpectAny
	case options.GetStreamExists() != nil:
		expected = model.ExpectStreamExists
	}
	done, err := s.node.append(ctx, nameOf(options.GetStreamIdentifier()), expected, events)
	failed := func(code codes.Code, message string) *api.BatchAppendResp {
		return &api.BatchAppendResp{Result: &api.BatchAppendResp_Error{Error: &status.Status{Code: int32(code), Message: message}}}
	}
	switch {
	case err != nil:
		return failed(codes.FailedPrecondition, err.Error())
	case done.Wrong:
		return failed(codes.AlreadyExists, "WrongExpectedVersion")
	}
	success := &api.BatchAppendResp_Success{
		CurrentRevisionOption: &api.BatchAppendResp_Success_CurrentRevision{CurrentRevision: uint64(done.Current)},
		PositionOption: &api.BatchAppendResp_Success_Position{Position: &shared.AllStreamPosition{
			CommitPosition: done.Position, PreparePosition: done.Position,
		}},
	}
	if done.Current < 0 {
		success.CurrentRevisionOption = &api.BatchAppendResp_Success_NoStream{NoStream: &emptypb.Empty{}}
	}
	return &api.BatchAppendResp{Result: &api.BatchAppendResp_Success_{Success: success}}
}
