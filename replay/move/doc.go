// Package move brings a ledger to another engine, and proves that it is the same
// there ([Copier]). A server that finds another ledger than it knew asks here
// whether that goes on from the known one ([Extends]), or how much of it is left
// ([Remaining]).
package move
