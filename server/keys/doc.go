// Package keys keeps the signing keys of a server, or of an operator's command beside
// running servers: which there are, what each is used for, and when the next step of its
// life is due.
//
// The ledger says what happens to a key (stream signing_key-all), table signing_keys has
// its private half under seal, and [Keeper] puts the two together for the keyring that
// signs and verifies. Start with [New].
//
// A key signs first when every live server has had it in its JWKS for the lead. Live is
// a server that has said in the last seconds ([Timing.Lease]), by its row in table
// signing_key_servers, that it is there. One that is frozen or cut off from the database
// is not waited for: when it comes back it looks at the keys before it answers
// with them. It may answer with the ones that it knows for as long as the lead, for no
// key can have begun to sign in that time that it does not know. After that it answers
// with none and signs nothing. A server of an older version has no row; it is seen by the
// session that every server has with the database, and while there is one no key counts as
// served by all.
package keys
