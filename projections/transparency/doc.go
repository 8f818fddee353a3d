// Package transparency turns the ledger into logs that prove themselves: one of
// the whole ledger and one of each organization, in ledger order. They are
// Merkle trees after RFC 6962 whose entries are the hashes of events and nothing
// else, so following a log discloses no tenant's data.
//
// What is here, from the bottom up:
//
//   - [Tree] is the right edge of a tree: enough to add entries and to know the
//     root. Verifiers build their own with it.
//   - [Append] is what the projection of the same name does with events; [Logs]
//     reads what it has written: entries, tiles (C2SP tlog-tiles), proofs.
//   - [Checkpoint] is a signed statement of size and root (C2SP tlog-checkpoint);
//     [Checkpoints] keeps those that were signed, with the cosignatures of
//     witnesses (C2SP tlog-cosignature).
//   - [Signer] signs, and [Memory] is what it remembers outside the database: it
//     signs nothing that does not extend what it signed before. A ledger that
//     was rewritten, and a database that was restored from a backup, are refused.
//
// All Merkle arithmetic is that of golang.org/x/mod/sumdb/tlog, all signatures
// are those of golang.org/x/mod/sumdb/note.
package transparency
