// Package eventstore is the storage of the ledger: what an event looks like
// on disk, how events are chained, and what every engine that keeps them has
// to guarantee.
//
// # The record
//
// An event is stored as one JSON object, its [Record], with a fixed order of
// keys and no spare whitespace. The bytes are frozen when the event is sealed
// and are hashed as they are: Hash = SHA-256(record bytes). Every record names
// the hash of the event before it in its stream, so the events of a stream
// form a chain. Nobody has to canonicalize anything to check it.
//
// # The store
//
// [Store] is the contract. The engines are in the folders below (postgres is
// the default, esdb the distributed one, memory serves the tests of other
// packages) and all of them run the one suite in storetest, whose cases are
// named after the clauses of the contract.
//
// # Verification
//
// [Chain] is fed events in ledger order and tells the first thing about each
// that does not hold, as a typed [Break]. It serves audits of the running
// ledger, offline checks and tests alike.
//
// Start with [Store], then [Draft] (an event on its way in) and [Event] (an
// event that is in).
package eventstore
