// Package upkeep is what operators do to a ledger without a server: begin it, look at
// it, sign and verify it, adopt it after a move or a loss. [OpenLedger] is where to
// start.
package upkeep
