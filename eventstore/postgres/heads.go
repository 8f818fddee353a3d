package postgres

import (
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/sentryagent/agentidp/eventstore"
)

// head is the newest event of a stream.
type head struct {
	revision int64 // -1 for a stream without events
	hash     eventstore.Hash
}

// maxHeads bounds the streams whose heads are remembered, at some 200 bytes.
const maxHeads = 1 << 16

// heads remembers the newest events of streams. It is right as long as the
// ledger's head is where at says; only the writer goroutine uses it.
type heads struct {
	at    eventstore.Position
	known *simplelru.LRU[string, head]
}

func newHeads() *heads {
	known, err := simplelru.NewLRU[string, head](maxHeads, nil)
	if err != nil {
		panic(err) // only a size below one is refused
	}
	return &heads{known: known}
}

func (h *heads) forget() {
	h.known.Purge()
	h.at = 0
}
