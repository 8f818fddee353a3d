// Package keyring holds every secret key of a server and what is done with them: sealing what must be read again,
// keyed verifiers of what must only be recognized, and the signatures of tokens.
//
// One random [MasterKey] in a file of the operator is the root. Keys for single purposes are derived from it
// (HKDF-SHA-256, RFC 5869) and known by key ids that tell nothing about them. The keys that sign are made once, stored in
// PostgreSQL sealed under the master key, and shared by every server on the database.
//
// Start with [Open], which gives a [Keyring]. Nothing here is logged, and no error carries key material.
package keyring
