// Package readmodels is what the ledger is folded into: tables of PostgreSQL, and
// the questions that they answer.
//
// Each noun has a file that says what its table is, how events change that, and
// which questions it answers: organizations.go, agents.go and so on. Where the
// questions are many they stand beside it (audit_queries.go). fold.go is what the
// tables of the registry have in common: a row for each thing, folded by the
// domain itself. [All] lists them for the engine, package projections, which runs
// them, derives them a second time and knows where they are.
//
// # What it promises
//
//   - Applying an event twice is the same as applying it once.
//   - A row of the registry is what the write side's own Evolve makes of the
//     events, so the two cannot differ.
//   - No tenant sees another's rows ([Queries], [Tenant]): the queries name the
//     organization, and row-level security repeats it.
//
// The rows are of one ledger, and positions mean nothing in another: [Anchor]
// makes sure that it is the same.
package readmodels

import "github.com/sentryagent/agentidp/projections"

// All lists the read models of this build.
func All() []projections.Projection {
	return []projections.Projection{Organizations(), Agents(), Credentials(), DIDs(), Delegations(), Partners(), Audit(), Activity(), Transparency()}
}
