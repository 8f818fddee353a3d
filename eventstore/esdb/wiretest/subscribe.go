package wiretest

import (
	"regexp"
	"strings"

	"github.com/google/uuid"

	api "github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
)

// subscribe follows $all: what is there, that the end was reached, and what
// comes, with a checkpoint after so many records that were looked at.
func (s *streamsService) subscribe(options *api.ReadReq_Options, stream api.Streams_ReadServer) error {
	log := s.node.cluster.log
	records, grown := log.snapshot()
	passes, every, err := filterOf(options.GetFilter())
	if err != nil {
		return err
	}
	next, from := 0, options.GetAll()
	switch {
	case from.GetEnd() != nil:
		next = len(records)
	case from.GetStart() == nil:
		index, ok := at(records, from.GetPosition().GetCommitPosition())
		if !ok || index == len(records) {
			return errPosition
		}
		next = index + 1 // a subscription begins after its position
	}
	if err := stream.Send(&api.ReadResp{Content: &api.ReadResp_Confirmation{
		Confirmation: &api.ReadResp_SubscriptionConfirmation{SubscriptionId: uuid.NewString()},
	}}); err != nil {
		return err
	}
	caughtUp, looked := false, 0
	for {
		for ; next < len(records); next++ {
			r := records[next]
			if passes(r) {
				if err := stream.Send(r.response()); err != nil {
					return err
				}
			}
			if looked++; every > 0 && looked%every == 0 {
				if err := stream.Send(checkpoint(r)); err != nil {
					return err
				}
			}
		}
		if !caughtUp {
			caughtUp = true
			if err := stream.Send(&api.ReadResp{Content: &api.ReadResp_CaughtUp_{CaughtUp: &api.ReadResp_CaughtUp{}}}); err != nil {
				return err
			}
		}
		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-s.node.stopping():
			return errStopping
		case <-grown:
			records, grown = log.snapshot()
		}
	}
}

func checkpoint(r *record) *api.ReadResp {
	return &api.ReadResp{Content: &api.ReadResp_Checkpoint_{
		Checkpoint: &api.ReadResp_Checkpoint{CommitPosition: r.position, PreparePosition: r.position},
	}}
}

func filterOf(filter *api.ReadReq_Options_FilterOptions) (passes func(*record) bool, every int, err error) {
	if filter == nil {
		return func(*record) bool { return true }, 0, nil
	}
	every = int(filter.GetMax() * filter.GetCheckpointIntervalMultiplier())
	if every == 0 {
		return nil, 0, errRequest
	}
	expression, of := filter.GetEventType(), func(r *record) string { return r.metadata["type"] }
	if expression == nil {
		expression, of = filter.GetStreamIdentifier(), func(r *record) string { return r.stream }
	}
	if text := expression.GetRegex(); text != "" {
		compiled, err := regexp.Compile(text)
		if err != nil {
			return nil, 0, errRequest
		}
		return func(r *record) bool { return compiled.MatchString(of(r)) }, every, nil
	}
	return func(r *record) bool {
		for _, prefix := range expression.GetPrefix() {
			if strings.HasPrefix(of(r), prefix) {
				return true
			}
		}
		return false
	}, every, nil
}
