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

func send(records []*record, count uint64, stream api.Streams_ReadServer) error {
	for i, r := range records {
		if uint64(i) == count {
			return nil
		}
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
	records, closed := s.node.cluster.log.lines(string(name.GetStreamName()))
	if closed {
		return errDeleted(string(name.GetStreamName()))
	}
	if len(records) == 0 {
		return stream.Send(&api.ReadResp{Content: &api.ReadResp_StreamNotFound_{
			StreamNotFound: &api.ReadResp_StreamNotFound{StreamIdentifier: name},
		}})
	}
	revision := from.GetRevision()
	switch {
	case from.GetStart() != nil:
		revision = 0
	case from.GetEnd() != nil:
		revision = math.MaxUint64
	}
	if backwards(options) {
		// Like the real server: what lies beyond the end is not there, so a
		// read from far beyond it finds nothing.
		if newest := records[len(records)-1].revision; from.GetEnd() == nil && revision >= newest+options.GetCount() {
			return nil
		}
		records = slices.DeleteFunc(records, func(r *record) bool { return r.revision > revision })
		slices.Reverse(records)
	} else {
		records = slices.DeleteFunc(records, func(r *record) bool { return r.revision < revision })
	}
	return send(records, options.GetCount(), stream)
}

func (s *streamsService) readAll(options *api.ReadReq_Options, stream api.Streams_ReadServer) error {
	records, _ := s.node.cluster.log.snapshot()
	from := options.GetAll()
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
		records = slices.Clone(records[:index])
		slices.Reverse(records)
		index = 0
	}
	return send(records[index:], options.GetCount(), stream)
}
