// Package readmodels is what the ledger is folded into: tables of PostgreSQL, and
// the questions that they answer.
//
// Each noun has its table, how events change it, and its questions under one
// name: organizations.go and organizations_queries.go, and so on. [All] lists
// them for the engine, which is package projections: that runs them, derives
// them a second time and knows where they are. A read model only says what an
// event means.
//
// # What it promises
//
//   - Applying an event twice is the same as applying it once.
//   - What can be folded by an aggregate is folded by it ([domain.Agent.Evolve]),
//     so the write side and the read side cannot differ.
//   - No tenant sees another's rows ([Queries], [Tenant]): the queries name the
//     organization, and row-level security repeats it.
//
// The rows are of one ledger, and positions mean nothing in another: [Anchor]
// makes sure that it is the same.
package readmodels

import "github.com/sentryagent/agentidp/projections"

// All lists the read models of this build.
func All() []projections.Projection {
	return []projections.Projection{Organizations(), Agents(), Credentials(), Delegations(), Audit(), Activity(), Transparency()}
}
