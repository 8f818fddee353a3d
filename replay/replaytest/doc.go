// Package replaytest is what the tests of more than one room share: a ledger in
// PostgreSQL that is logged and signed ([NewArchive]) and one in memory ([Shelf]),
// both filled by [Books]; what may be done to one, and what is then to be found
// ([Harms]); and reads that are cut off wherever they can be ([CutEverywhere]).
package replaytest
