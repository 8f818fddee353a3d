// Package verify proves a ledger, and finds out what was done to one that does
// not hold.
//
// There is one engine. It is given [Evidence]: the events in ledger order, the
// hashes that the transparency log has of them, and checkpoints (a size, a root
// hash and when that was signed). Whether these come from the running database
// ([Verifier]) or from a bundle (package bundle) is all the same to it. It goes
// over the events once, with flat memory: the hash of each, its place in its
// stream (eventstore.Chain), its place in the log, and the root at the size of
// each checkpoint. Only when something does not hold does it go over them again
// and find out what was done, and to which event first: see [Kind] and [Finding].
package verify
