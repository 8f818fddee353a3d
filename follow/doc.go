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
// # One read of the ledger
//
// All followers of a process share one subscription, and each event is decoded
// once for all. Each follower is at a place of its own all the same. One that
// has fallen behind reads by itself until it has caught up, and keeps nobody
// waiting (tail.go).
//
// # Example
//
// A chat hears of every agent that is suspended, once at least:
//
//	suspensions := follow.Follower{
//		Name:  "suspensions",
//		Types: []domain.Type{"agent.suspended"},
//		Sink: follow.Outside(func(ctx context.Context, events []follow.Event) error {
//			for _, e := range events {
//				// An error has these events tried again, the first ones included.
//				if err := post(ctx, e.ID, e.Fact.(domain.AgentSuspended).Reason); err != nil {
//					return err
//				}
//			}
//			return nil
//		}),
//	}
//	followers := []follow.Follower{suspensions}
//	progress := follow.NewProgress(pool, store, followers, follow.ProgressOptions{})
//	runner := follow.NewRunner(pool, store, followers, follow.RunnerOptions{Progress: progress})
//	metrics.MustRegister(follow.NewCollector(progress))
//
// Then Run both, progress and runner, for as long as the process lives. A server
// has one runner, and one list that all its followers are in.
//
// # Where to start
//
// follower.go says what a follower is and sink.go what it may do. runner.go and
// worker.go drive it, tail.go and reader.go bring it events, place.go stores where
// it is, progress.go knows that of all of them, wherever they run. event.go is an
// event as they see it.
package follow
