// Package stores opens what a ledger lives in: the database, the engine, Redis. It
// makes sure that they belong together and that all servers on them agree. A server
// opens them through it, and so does an operator's command that runs without one.
package stores
