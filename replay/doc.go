// Package replay is what auditors and operators run over the ledger: it reads
// events from the beginning, or from a moment, and proves or derives something
// from them.
//
// # Proof
//
// There is one engine. It is given the events in ledger order, the hashes that
// the transparency log has of them, and checkpoints (a size, a root hash and
// when that was signed); whether these come from the running database
// ([Verifier]) or from a bundle that [Exporter] wrote ([OpenBundle]) is all the
// same to it. It goes over the events once, with flat memory: the hash of each,
// its place in its stream (eventstore.Chain), its place in the log, and the
// root at the size of each checkpoint. Only when something does not hold does it
// go over them again and find out what was done, and to which event first: see
// [Kind] and [Finding].
//
// # Moving
//
// [Copier] brings a ledger to another engine, and proves that it is the same.
package replay
