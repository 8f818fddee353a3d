// Package follow is the consumer engine: it brings the events of the ledger to
// whatever follows it, be that a read model or something outside.
//
// # What it promises
//
//   - A [Follower] takes every event it wants, in ledger order. Nothing is ever
//     skipped.
//   - Over all processes one of them runs a follower, the others stand by and
//     take over within a second or two ([Runner]). That is for order. What keeps
//     a process that lost its lease from doing harm is the stored place, which
//     every transaction locks and finds where it left it.
//   - Its [Sink] decides what happens twice: what [Rows] and [Jobs] write moves in
//     one transaction with the place, so it happens once; what [Outside] hands
//     out arrives at least once.
//   - An event that cannot be taken halts its follower right before it, and no
//     other. The metrics ([Collector]) and [Progress.Status] show it. The follower
//     looks again and again, for a newer build may understand the event.
//   - Rebuilding a read model moves the place of that read model and of nobody
//     else. So what [Jobs] and [Outside] have done is not done again.
//
// Positions are those of one ledger on one engine. After a move to another
// engine read models are rebuilt; places of followers that cannot be rebuilt
// have to be set by hand.
//
// # Where to start
//
// follower.go says what a follower is and sink.go what it may do. runner.go and
// worker.go drive it, place.go stores where it is, progress.go knows that of all
// of them, wherever they run. event.go is an event as they see it.
package follow
