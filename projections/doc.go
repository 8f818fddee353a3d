// Package projections is the read side's engine: it folds the ledger into tables
// of PostgreSQL. Package readmodels says which tables there are and what an event
// means in them. This package does not know it: its callers hand the list in.
//
// # What it promises
//
//   - Rows and checkpoint of a [Projection] move in one transaction; applying
//     an event twice is the same as applying it once; what a rebuild from
//     position 0 makes is what live running made, row by row.
//   - Each read model is kept by one process at a time, by an engine that all
//     followers of the ledger share ([follow.Runner]): its lease, its place, what
//     becomes of an event that cannot be applied.
//   - [Rebuilder] derives a read model a second time, beside the live one, and
//     replaces that without a failed or stale read. [Verifier] derives one to
//     compare it with the live one.
//   - A reader can wait for a position ([Progress]), so a client that has written
//     something can read it.
//
// Whether a token is still good is not asked here: see package
// ledger/revocation, which every process keeps in memory.
//
// # Where to start
//
// projection.go says what a projection is. live.go hands projections to package
// follow, progress.go is how readers wait for them. rebuild.go and verify.go
// derive them a second time, by way of pass.go.
package projections
