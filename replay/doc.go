// Package replay is what auditors and operators run over the ledger: it reads
// events from the beginning, or from a moment, and proves or derives something
// from them. There is no code here; each room below has one purpose:
//
//	verify    is the ledger what was signed? If not, what was done to it?
//	history   what was so at a moment, and which events made it so
//	bundle    what leaves the house: exports, and proofs of single events
//	move      bringing a ledger to another engine, and taking it over there
//
// Bundle uses the other two that prove and tell, because a bundle is verified and
// asked as the running ledger is. Nothing else in here imports its neighbour:
//
//	bundle ──► verify
//	   └─────► history      move
package replay
