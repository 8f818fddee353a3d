package readmodels

import (
	"encoding/base64"
	"encoding/binary"
	"math"

	"github.com/sentryagent/agentidp/eventstore"
)

// A cursor is a position in the ledger, for a caller to hand back and not to
// look into: what follows is older. New events are newer than every cursor
// given out, so they never shift what it stands for.
const (
	cursorVersion = 1
	cursorSize    = 1 + 8
)

// Strict: one cursor has one form.
var cursorEncoding = base64.RawURLEncoding.Strict()

func encodeCursor(position eventstore.Position) string {
	b := make([]byte, 1, cursorSize)
	b[0] = cursorVersion
	return cursorEncoding.EncodeToString(binary.BigEndian.AppendUint64(b, uint64(position)))
}

func decodeCursor(cursor string) (eventstore.Position, error) {
	b, err := cursorEncoding.DecodeString(cursor)
	if err != nil || len(b) != cursorSize || b[0] != cursorVersion {
		return 0, ErrBadCursor
	}
	position := binary.BigEndian.Uint64(b[1:])
	if position == 0 || position > math.MaxInt64 {
		return 0, ErrBadCursor
	}
	return eventstore.Position(position), nil
}
