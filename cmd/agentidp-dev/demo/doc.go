// Package demo tells the product's story on a live server: an organization, an
// agent, a credential, a token; the token used, rotated away, dead; the audit
// trail read and proven; and in the end a row of a throw-away ledger altered
// behind the server's back, and found.
package demo
