// Package api is the HTTP side, and the only place that knows HTTP. What it
// serves is described in openapi.yaml first; requests are checked against that
// document, and tests check responses against it.
//
// A handler does three things: decode, execute (a command of package ledger or
// a query of package readmodels), map. What comes before it, and what becomes of
// the error that it returns, is package router's: request id, metrics and panics,
// security headers, CORS, then for each route the bearer token and the policy,
// the OpenAPI document, idempotency.
//
// Each area has a room, a package below this one with a Handler that has the few
// things it needs and Routes; no room knows another. Start with [New], which puts the
// rooms behind one router.
package api
