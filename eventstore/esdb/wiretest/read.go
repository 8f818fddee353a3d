package wiretest

import (
	"math"

	"github.com/google/uuid"

	api "github.com/EventStore/EventStore-Client-Go/v4/protos/streams"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
)

func (s *streamsService) Read(request *api.ReadReq, stream api.Streams_ReadServer) error {
	ctx := stream.Context()
	options := request.GetOptions()
	insists, err := s.node.admit(ctx)
	if err == nil {
		name := model.Everybody // $all
		if options.GetAll() == nil {
			name = nameOf(options.GetStream().GetStreamIdentifier())
		}
		err = s.node.allow(ctx, model.MayRead, name)
	}
	switch {
	case err != nil:
	case options.GetUuidOption() == nil:
		err = errRequest
	case options.GetSubscription() != nil && options.GetAll() != nil:
		err = s.subscribe(options, insists, stream)
	case options.GetSubscription() != nil:
		return s.UnimplementedStreamsServer.Read(request, stream)
	case options.GetAll() != nil:
		err = s.readAll(options, insists, stream)
	default:
		err = s.readStream(options, insists, stream)
	}
	return s.node.told(ctx, err)
}

func send(records []*model.Record, options *api.ReadReq_Options, stream api.Streams_ReadServer) error {
	textID := wantsText(options)
	for _, r := range records {
		if err := sendEvent(stream, r, textID); err != nil {
			return err
		}
	}
	return nil
}

// wantsText reports that the reader wants ids as text.
func wantsText(options *api.ReadReq_Options) bool { return options.GetUuidOption().GetString_() != nil }

func backwards(options *api.ReadReq_Options) bool {
	return options.GetReadDirection() == api.ReadReq_Options_Backwards
}

func (s *streamsService) readStream(options *api.ReadReq_Options, insists bool, stream api.Streams_ReadServer) error {
	from := options.GetStream()
	name := from.GetStreamIdentifier()
	revision := int64(min(from.GetRevision(), math.MaxInt64))
	switch {
	case from.GetStart() != nil:
		revision = 0
	case from.GetEnd() != nil && backwards(options):
		revision = model.FromEnd
	case from.GetEnd() != nil:
		revision = math.MaxInt64
	}
	page, found, err := s.node.model.ReadStream(stream.Context(), insists, nameOf(name), revision, backwards(options), options.GetCount())
	if err != nil {
		return err
	}
	if !found {
		return stream.Send(&api.ReadResp{Content: &api.ReadResp_StreamNotFound_{
			StreamNotFound: &api.ReadResp_StreamNotFound{StreamIdentifier: name},
		}})
	}
	return send(page, options, stream)
}

func (s *streamsService) readAll(options *api.ReadReq_Options, insists bool, stream api.Streams_ReadServer) error {
	page, err := s.node.model.ReadAll(stream.Context(), insists, positionOf(options.GetAll()), backwards(options), options.GetCount(), filterOf(options.GetFilter()))
	if err != nil {
		return err
	}
	return send(page, options, stream)
}

// subscribe follows $all until the client or the node leaves.
func (s *streamsService) subscribe(options *api.ReadReq_Options, insists bool, stream api.Streams_ReadServer) error {
	ctx, wire := stream.Context(), options.GetFilter()
	window := model.Window{Events: wire.GetMax(), Times: wire.GetCheckpointIntervalMultiplier()}
	sub, err := s.node.model.Subscribe(ctx, insists, positionOf(options.GetAll()), filterOf(wire), window)
	if err != nil {
		return err
	}
	if err := stream.Send(&api.ReadResp{Content: &api.ReadResp_Confirmation{
		Confirmation: &api.ReadResp_SubscriptionConfirmation{SubscriptionId: uuid.NewString()},
	}}); err != nil {
		return err
	}
	textID := wantsText(options)
	for {
		m, err := sub.Receive(ctx)
		if err != nil {
			return err
		}
		if m.Kind == model.EventAppeared {
			err = sendEvent(stream, m.Event, textID)
		} else {
			err = stream.Send(messageOf(m))
		}
		if err != nil {
			return err
		}
	}
}

func messageOf(m model.Message) *api.ReadResp {
	switch m.Kind {
	case model.CheckpointReached:
		return &api.ReadResp{Content: &api.ReadResp_Checkpoint_{
			Checkpoint: &api.ReadResp_Checkpoint{CommitPosition: m.Position.Commit, PreparePosition: m.Position.Prepare},
		}}
	case model.FellBehind:
		return &api.ReadResp{Content: &api.ReadResp_FellBehind_{FellBehind: &api.ReadResp_FellBehind{}}}
	}
	return &api.ReadResp{Content: &api.ReadResp_CaughtUp_{CaughtUp: &api.ReadResp_CaughtUp{}}}
}

func filterOf(wire *api.ReadReq_Options_FilterOptions) *model.Filter {
	if wire == nil {
		return nil
	}
	expression, byType := wire.GetEventType(), true
	if expression == nil {
		expression, byType = wire.GetStreamIdentifier(), false
	}
	return &model.Filter{ByType: byType, Prefixes: expression.GetPrefix(), Regex: expression.GetRegex()}
}
