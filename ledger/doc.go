// Package ledger is the write side: it runs commands.
//
// A command is run by loading the aggregate it is for, letting package domain
// decide, appending what was decided at the revision the decision was made on,
// and, for commands on registry state, waiting until the read models show it.
// Whoever loses a race decides again on the newer state. There are no locks
// across streams or processes: every rule that must hold is a rule about one
// stream, and the store refuses an append whose stream has moved on.
//
// Start with [Ledger], one method and one file per command. The machinery
// below is in load.go (cache, snapshot, events) and lane.go (how
// commands on one hot stream share an append).
package ledger
