package domain

// EventsLost is stored as "ledger.events_lost", schema 1: the store of the ledger
// came back without its newest events, and the operator went on without them. The
// logs begin again under another origin, for what was signed under the former one
// goes on past what is left.
type EventsLost struct {
	Origin       string `json:"origin"`
	FormerOrigin string `json:"formerOrigin"`
	Kept         int64  `json:"keptEvents"`  // of those that the log had, from the first on
	Known        int64  `json:"knownEvents"` // that the log had before the loss
	KnownRoot    string `json:"knownRoot"`   // root hash of those, in base64 (RFC 6962 section 2.1)
	// Where the ledger ended, and the newest position that was known; left out where
	// it had gone on past that another way.
	End      int64 `json:"endPosition,omitempty"`
	KnownEnd int64 `json:"knownPosition,omitempty"`
}

func (EventsLost) EventType() Type { return "ledger.events_lost" }
