package wiretest

import (
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec that is wrapped
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	api "github.com/EventStore/EventStore-Client-Go/v4/protos/streams"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
)

// encoded is a message that has been encoded before: most events are read more
// than once, and a test's server should cost less than its client.
type encoded []byte

type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2("proto")} }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if e, ok := v.(encoded); ok {
		return mem.BufferSlice{mem.SliceBuffer(e)}, nil
	}
	return c.CodecV2.Marshal(v)
}

// sendEvent sends an event as it was encoded for the first who read it.
func sendEvent(stream api.Streams_ReadServer, r *model.Record, textID bool) error {
	if textID {
		return stream.Send(response(r, textID))
	}
	bytes := r.Encoded.Load()
	if bytes == nil {
		fresh, err := proto.Marshal(response(r, textID))
		if err != nil {
			return err
		}
		bytes = &fresh
		r.Encoded.Store(bytes)
	}
	return stream.SendMsg(encoded(*bytes))
}
