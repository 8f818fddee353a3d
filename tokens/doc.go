// Package tokens makes and reads what this server hands out: access tokens (RFC 9068) and ID tokens (OpenID Connect),
// which are signed JWTs, and delegation tokens, which are a MAC over the id of a delegation.
//
// It says whether a token is genuine and what it claims. Whether it was ended since is a question for the ledger, and
// none of what is here asks it.
//
// Making a token begins with [Signer.Key]. The key is chosen once: its id goes into the event that records the issuance,
// and the same key signs when that event is durable. Reading begins with [Verifier.Verify] or [ReadDelegation].
package tokens
