// Package bundle is the ledger outside the house: [Exporter] writes it, or one
// organization's part, into a file that anybody can verify and ask without a
// server, a database or configuration ([Open]), and [Prove] does so for one event.
//
// What a bundle proves, package verify decides; what it tells of a moment, package
// history does. Here is only the file. docs/ledger-format.md describes it byte by
// byte, and docs/verify.py is a second reader that shares no code with this one.
package bundle
