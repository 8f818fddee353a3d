// Package clientauth authenticates OAuth clients: by a secret (RFC 6749 section 2.3.1) or by an assertion that they
// have signed (RFC 7523). [Clients.Authenticate] is the one way in, for tokens, introspection and revocation.
//
// What fails is put on record and counted, and who has failed too often is refused unseen (attempts.go). What a
// client is told of it says nothing that is not in its own request ([Refusal]).
package clientauth
