// Package projections is the read side's engine: it folds the ledger into tables
// of PostgreSQL. Which tables there are, and what an event means in them, says
// package readmodels, which this one does not know: the list is handed in.
//
// # What it promises
//
//   - Rows and checkpoint of a [Projection] move in one transaction; applying
//     an event twice is the same as applying it once; what a rebuild from
//     position 0 makes is what live running made, row by row.
//   - Each read model is kept by one process at a time, by an engine that all
//     followers of the ledger share ([follow.Runner]): its lease, its place, what
//     becomes of an event that cannot be applied.
//   - A read model can be derived anew beside the live one, which it replaces
//     without a failed or stale read ([Rebuilder]), and compared with one that
//     is derived afresh ([Verifier]).
//   - A reader can wait for a position ([Progress]): that is how whoever wrote
//     something reads it.
//
// Whether a token is still good is not asked here: see package
// ledger/revocation, which every process keeps in memory.
//
// # Where to start
//
// projection.go says what a projection is. live.go has them followed, progress.go
// is how readers wait for them, rebuild.go and verify.go derive them a second time, by
// way of pass.go.
package projections
