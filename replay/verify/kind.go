package verify

import "github.com/sentryagent/agentidp/eventstore"

// Kind says what was done to a ledger.
type Kind string

const (
	// AlteredEvent: an event is not what it was. A byte of it was changed, or
	// another event was put in its place, perhaps with all that follow in its
	// stream sealed again; or a column says other than the record.
	AlteredEvent Kind = "altered_event"
	// RemovedEvent: an event was taken out from among others.
	RemovedEvent Kind = "removed_event"
	// InsertedEvent: an event was put between others afterwards.
	InsertedEvent Kind = "inserted_event"
	// ReorderedEvents: all events are there, in another order.
	ReorderedEvents Kind = "reordered_events"
	// TruncatedTail: the newest events are gone.
	TruncatedTail Kind = "truncated_tail"
	// RemovedStream: events are gone and every chain holds: those of a whole
	// stream, or its newest.
	RemovedStream Kind = "removed_stream"
	// RewrittenLedger: nothing, or next to nothing, is what was signed.
	RewrittenLedger Kind = "rewritten_ledger"
	// RestoredBackup: the ledger is what was signed up to a size, and has gone
	// on from there in another way than was signed later.
	RestoredBackup Kind = "restored_backup"
	// AlteredLog: the events are those that were signed; what the transparency
	// log keeps of them is not. The log can be derived again.
	AlteredLog Kind = "altered_log"
	// UnfoundedToken: everything is as it was recorded, and a token was issued
	// under a credential that the ledger did not have, or no more. A server was made
	// to believe in it by something other than the ledger.
	UnfoundedToken Kind = "unfounded_token"
	// ForeignEvent: a stream of the ledger has an event that is none of the ledger's.
	// Nothing is lost. This and the next two are done by the means of a server that
	// the events are kept on, and all events are still there.
	ForeignEvent = Kind(eventstore.ForeignEvent)
	// HiddenEvents: the server was told to hide events of a stream of the ledger,
	// and will take them for good.
	HiddenEvents = Kind(eventstore.HiddenEvents)
	// DeletedStream: the server was told that a stream of the ledger has ended, and
	// will take its events for good.
	DeletedStream = Kind(eventstore.DeletedStream)
	// Undetermined: the events contradict a checkpoint, and what was done to them
	// cannot be told, because the log was made to fit.
	Undetermined Kind = "undetermined"
)
