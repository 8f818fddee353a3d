package wiretest

import (
	"math"
	"slices"

	api "github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
)

func (s *streamsService) Read(request *api.ReadReq, stream api.Streams_ReadServer) error {
	ctx := stream.Context()
	options := request.GetOptions()
	err := s.node.admit(ctx)
	switch {
	case err != nil:
	case options.GetUuidOption() == nil:
		err = errRequest
	case options.GetSubscription() != nil && options.GetAll() != nil:
		err = s.subscribe(options, stream)
	case options.GetSubscription() != nil:
		return s.UnimplementedStreamsServer.Read(request, stream)
	case options.GetAll() != nil:
		err = s.readAll(options, stream)
	default:
		err = s.readStream(options, stream)
	}
	return told(ctx, err)
}

func send(records []*record, stream api.Streams_ReadServer) error {
	for _, r := range records {
		if err := stream.Send(r.response()); err != nil {
			return err
		}
	}
	return nil
}

func backwards(options *api.ReadReq_Options) bool {
	return options.GetReadDirection() == api.ReadReq_Options_Backwards
}

func (s *streamsService) readStream(options *api.ReadReq_Options, stream api.Streams_ReadServer) error {
	from := options.GetStream()
	name := from.GetStreamIdentifier()
	if len(name.GetStreamName()) == 0 {
		return errNoName
	}
	revision := from.GetRevision()
	switch {
	case from.GetStart() != nil:
		revision = 0
	case from.GetEnd() != nil:
		revision = math.MaxUint64
	}
	page, newest, closed := s.node.cluster.log.page(string(name.GetStreamName()), revision, options.GetCount(), backwards(options))
	switch {
	case closed:
		return errDeleted(string(name.GetStreamName()))
	case newest < 0:
		return stream.Send(&api.ReadResp{Content: &api.ReadResp_StreamNotFound_{
			StreamNotFound: &api.ReadResp_StreamNotFound{StreamIdentifier: name},
		}})
	case backwards(options) && from.GetEnd() == nil && revision >= uint64(newest)+options.GetCount():
		// Like the real server: what lies beyond the end is not there, so a
		// read from far beyond it finds nothing.
		return nil
	}
	return send(page, stream)
}

func (s *streamsService) readAll(options *api.ReadReq_Options, stream api.Streams_ReadServer) error {
	records, _ := s.node.cluster.log.snapshot()
	from, count := options.GetAll(), int(min(options.GetCount(), uint64(len(records))))
	index, ok := 0, true
	switch {
	case from.GetEnd() != nil:
		index = len(records)
	case from.GetStart() == nil:
		if index, ok = at(records, from.GetPosition().GetCommitPosition()); !ok {
			return errPosition
		}
	}
	if backwards(options) {
		page := slices.Clone(records[max(0, index-count):index])
		slices.Reverse(page)
		return send(page, stream)
	}
	return send(records[index:min(len(records), index+count)], stream)
}
