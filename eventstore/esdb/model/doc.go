// Package model is an EventStoreDB as a client meets it, without a network: the
// log, its streams, $all and its positions, metadata, deletes, a scavenge,
// subscriptions, and nodes that elect a leader, freeze, die and are cut off.
//
// It knows what was measured on a real 23.10.8, and from its change notes how
// later versions differ ([Options.Version]). Package wiretest serves it by the
// real protocol and its facts tests hold it to a real server. Tests in virtual
// time (testing/synctest) call it directly: it starts no goroutines, it waits on
// channels and time.AfterFunc alone, and all that the real server leaves to
// chance is drawn from one seed ([Options.Rand]).
//
//	Append, SetMetadata, Delete, Tombstone   append.go, check.go, delete.go
//	ReadStream, ReadAll and its positions    read.go, position.go, filter.go
//	Subscribe, Receive                       subscribe.go, receive.go
//	Kill, Freeze, Cut, Resign, Lead          faults.go, election.go, replicate.go
//	Scavenge, Backup, Restore, projections   scavenge.go, backup.go, links.go
//	what is left to chance, by version       chance.go, version.go
//
// An append is answered only by a leader that a quorum of the nodes hears, and
// what was answered is never lost. A leader that was frozen or cut off while
// another was elected does not know it at first: it takes no append, but answers
// reads from the past.
package model
