// Package wiretest is an EventStoreDB for tests: it serves a [model.Cluster] by
// the Streams, Gossip and ServerFeatures services over the client's own protobuf
// stubs, on loopback. All behaviour is the model's; what is here is the wire, and
// what befalls it.
//
// Tests break it: [Node.Stop] and [Node.Start], [Node.Freeze] and [Node.Wake],
// [Node.DropConnections], [Cluster.Lead], [Cluster.LoseAnswers],
// [Cluster.Delay], [Cluster.Hold]. What needs no wire is done to the model:
// [Cluster.Model] scavenges, restores, drops readers, cuts nodes off and resigns. A [View] is a
// way to the cluster with addresses of its own, for a client that is to be cut
// off alone.
//
// Start with [New]. Without options it is one version of the server, 23.10, whose
// leader stays until another is named. It is for tests and benchmarks alone: nothing is kept.
//
// The facts in its tests are asked of a real server too, with its connection
// string in ESDB_URL.
package wiretest
