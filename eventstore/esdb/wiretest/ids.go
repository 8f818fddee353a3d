package wiretest

import (
	"encoding/binary"

	"github.com/google/uuid"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
)

// wireID is an id as a reader wants it: in two numbers, or as text.
func wireID(id model.ID, text bool) *shared.UUID {
	if text {
		return &shared.UUID{Value: &shared.UUID_String_{String_: uuid.UUID(id).String()}}
	}
	return &shared.UUID{Value: &shared.UUID_Structured_{Structured: &shared.UUID_Structured{
		MostSignificantBits:  int64(binary.BigEndian.Uint64(id[:8])),
		LeastSignificantBits: int64(binary.BigEndian.Uint64(id[8:])),
	}}}
}

// idOf reads the id of an event. Any UUID will do, and nothing else.
func idOf(wire *shared.UUID) (id model.ID, err error) {
	if s := wire.GetStructured(); s != nil {
		binary.BigEndian.PutUint64(id[:8], uint64(s.MostSignificantBits))
		binary.BigEndian.PutUint64(id[8:], uint64(s.LeastSignificantBits))
		return id, nil
	}
	parsed, err := uuid.Parse(wire.GetString_())
	if err != nil {
		return id, errGUID
	}
	return model.ID(parsed), nil
}
