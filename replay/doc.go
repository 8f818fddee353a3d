// Package replay is what auditors and operators run over the ledger: it reads
// events from the beginning, or from a moment, and proves or derives
// something from them.
package replay
