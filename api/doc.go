// Package api is the HTTP side, and the only place that knows HTTP. What it
// serves is described in openapi.yaml first; requests are checked against that
// document, and tests check responses against it.
//
// A handler does three things: decode, execute (a command of package ledger or
// a query of package projections), map. What comes before it is the same for
// all: request id, metrics and panics, security headers, CORS, then for each
// route the bearer token and the policy, the OpenAPI document, idempotency.
//
// Start with routes.go, the list of what is served. errors.go is the one place
// where error codes become statuses.
package api
