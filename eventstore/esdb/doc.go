// Package esdb is the engine that keeps the ledger in an EventStoreDB or
// KurrentDB (23.10 or newer), through EventStore-Client-Go v4.
//
// # On the server
//
// A stream of the ledger is a stream of the server, and an event's data are the
// bytes of its record, exactly as they were sealed: `sha256sum` of what the
// server shows is the event's hash. The metadata has what the engine wants to
// know without reading the record. The id that the server sees is made of the
// record's hash (wire.go), so the server takes two writes for the same only
// when they are, to the byte.
//
// A position is the commit position of the event in the server's log: a number
// that grows, with gaps, because other things are in that log too. What begins
// with $, and what is not of the ledger, is left out everywhere; inside a
// stream of the ledger it is a hole that verification names and that nothing is
// sealed onto.
//
// # Appending
//
// The appends of one process to one stream take turns ([Store.Append], turns.go), so
// they do not conflict, and streams do not wait for each other. Who shares one append
// among many commands is the ledger. An append is sealed on the newest event of the
// stream, whose revision and hash are remembered, and written at that explicit revision.
// When the server says that the stream is elsewhere, another node has written: the
// stream is looked at and the append is decided again.
//
// Nothing is written to a stream that shows less than it has, because somebody
// deleted it or told the server to hide its events (barred.go).
//
// The same happens when an answer is lost. The events are looked for where they
// would be, and an append that had gone through returns its result. Only when
// the server stays away for [Options.Timeout], or is known to be away, is the
// caller told [eventstore.ErrUnavailable].
//
// Event ids are unique in the part of the ledger that is remembered: all events
// of all nodes since shortly before this store began, at most some 65,000.
// Older ones are found in their own stream, by the time in their ids, but a
// repetition of one in another stream is not. EventStoreDB has no index by id;
// ids are random, and whoever draws them never draws one twice.
//
// # Reading
//
// History is read by pages of the server's log, forwards, each beginning with
// the record that the one before it ended with (history.go). A subscription
// would be no way to read it: the server leaves out an event when the record
// before it has been taken away, and drops a reader who is some thirty messages
// behind.
//
// One live subscription of each store keeps the newest events (live.go, tail.go).
// It is made at the end, shown to have left nothing out, and made again whenever
// it ends, which is part of its life. A [eventstore.Subscription] is served from
// there and costs the server nothing; one that begins further back reads pages
// until it has come so far. The positions that it gives are those of the
// ledger's own events.
//
// The first look goes backwards to the ledger's newest events (seed.go), and on a
// server that others use no further than a barrier says that they wrote alone.
//
// Every request insists on the leader, since a follower may answer from the
// past. So may a leader that was deposed and does not know it: a head counts
// only while an append that was answered proves who leads (lease.go). A node
// that is silent for a second is doubted, and left for another that leads
// (watch.go).
//
// # The library
//
// All that is taken from the client library is package wire, and client.go is
// the only file that knows the library. It finds a node by itself, but when it
// finds none it ends for good, and it never renews a subscription. So a client
// is used until its connection breaks and then replaced (supervisor.go): at
// once, then with longer and longer pauses. A store has two: long reads go
// through one of their own, so that they hold up nothing else. [Store.State] and
// [Options.ObserveState] tell how it stands. [NewOn] makes a store on anything
// else that fills the interface.
//
// # Tests
//
// wiretest is a server for tests that speaks the same protocol and breaks on
// demand. With ESDB_URL set the suite runs on a real server too, and so do the
// tests of several processes and of killed ones (test/system), each ledger
// under a prefix of its own.
package esdb
