// Package chaos looks for what breaks a cluster of servers: it sends commands
// of many clients to several nodes of one ledger while nodes are killed, frozen
// and cut off, and then holds the history against what was promised.
//
// It has four parts, which know nothing of each other but the recording:
//
//   - [Workload] is the clients. Whatever they do and are answered is in a
//     [Recording].
//   - [Faults] are what goes wrong, at random but from a seed: with a [Member]
//     and the lines to what it needs, and with the [EventStore].
//   - [History] replays the ledger through the rules of the domain: each event
//     must be one that the state before it allowed.
//   - The checks of a recording hold the clients' own memory against that:
//     [Recording.CheckAcknowledged] (what was answered is there, once),
//     [Recording.CheckRevoked] (what was ended stays ended),
//     [History.CheckCheckpoints] (one tree of each size).
//
// What they find are [Violation]s. The checks are tested with broken histories:
// a checker that finds nothing has to be one that would.
package chaos
