// Package wiretest is an EventStoreDB for tests: a server in memory that
// speaks the Streams, Gossip and ServerFeatures services over the client's own
// protobuf stubs, on loopback.
//
// It is strict about what the real server refuses (wrong revisions, appends
// over one MiB, positions between two records, unknown and deleted streams,
// writes to system streams) and keeps its rules for repeated event ids. Its log
// holds system events among those of the tests, as a real one does, so that a
// client which forgets to leave them out is found.
//
// Several nodes share one log, as the nodes of a cluster that replicates at
// once; one of them leads. Tests break it: [Node.Stop] and [Node.Start],
// [Node.DropConnections], [Cluster.Lead], [Cluster.LoseAnswers],
// [Cluster.Delay], [Cluster.Hold]. A [View] is a way to the cluster with
// addresses of its own, for a client that is to be cut off alone.
//
// Start with [New]. It is for tests and benchmarks alone: nothing is kept.
package wiretest
