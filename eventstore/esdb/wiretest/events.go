package wiretest

import (
	"strings"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	api "github.com/EventStore/EventStore-Client-Go/v4/protos/streams"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
)

// message is an event on its way in, as both ways to append carry it.
type message interface {
	GetId() *shared.UUID
	GetMetadata() map[string]string
	GetCustomMetadata() []byte
	GetData() []byte
}

func proposed(m message) (p model.Proposed, err error) {
	if p.ID, err = idOf(m.GetId()); err != nil {
		return p, err
	}
	headers := m.GetMetadata()
	eventType, hasType := headers["type"]
	if !hasType || headers["content-type"] == "" {
		return p, errMetadata
	}
	p.Type, p.ContentType, p.Metadata, p.Data = eventType, headers["content-type"], m.GetCustomMetadata(), m.GetData()
	return p, nil
}

func response(r *model.Record, textID bool) *api.ReadResp {
	return &api.ReadResp{Content: &api.ReadResp_Event{Event: &api.ReadResp_ReadEvent{
		Event: &api.ReadResp_ReadEvent_RecordedEvent{
			Id:               wireID(r.ID, textID),
			StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(r.Stream)},
			StreamRevision:   uint64(r.Revision),
			PreparePosition:  r.Position,
			CommitPosition:   r.Position,
			Metadata:         r.Headers,
			CustomMetadata:   r.Metadata,
			Data:             r.Data,
		},
		Position: &api.ReadResp_ReadEvent_CommitPosition{CommitPosition: r.Position},
	}}}
}

// nameOf is a stream's name as the server reads it: what is no UTF-8 comes back
// changed.
func nameOf(id *shared.StreamIdentifier) string {
	return strings.ToValidUTF8(string(id.GetStreamName()), "\uFFFD")
}

func positionOf(p *api.ReadReq_Options_AllOptions) model.Position {
	switch {
	case p.GetEnd() != nil:
		return model.End
	case p.GetStart() != nil:
		return model.Start
	}
	return model.Position{Commit: p.GetPosition().GetCommitPosition(), Prepare: p.GetPosition().GetPreparePosition()}
}
