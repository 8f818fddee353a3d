// Package domain says what an identity is: its aggregates, the events that
// make them, the commands they accept and the rules in between. It is pure.
// Nothing here does I/O, reads a clock or makes a random number: time, ids and
// secrets' verifiers arrive inside commands, so every decision can be replayed.
//
// # Glossary
//
//   - Command: a wish, in the imperative ([DecommissionAgent]).
//   - Event: a fact, in the past tense ([AgentDecommissioned]), with an explicit
//     dotted name ("agent.decommissioned") and a schema, the version of its shape.
//   - Aggregate: what a decision is made on, folded from one stream of events.
//     Decide(command) gives events or an [*Error] and changes nothing;
//     Evolve(event) applies a fact and never refuses one.
//   - Agent: a non-human identity, its credentials and its token issuances: one
//     stream, because "no token after a revocation" is a rule about all three.
//   - Organization: the tenant that agents belong to, its tier and members.
//   - Seats: how many active agents an organization has; holds the cap.
//   - Claim: the right to a unique value (an e-mail address, a slug).
//   - Delegation: authority that one agent, the delegator, has lent another, the
//     delegatee; one link of a chain where it was lent on.
//   - Scope: a permission. An agent has allowed scopes; a token has some of them.
//   - Catalogue: one row for each event type, which says what such an event is
//     about ([About]), what it changes ([Changes]), how the audit trail shows it
//     ([Audited]) and which tokens it ends ([EndingOf]).
//   - Upcaster: one step from an event's old schema to the next.
//
// Start with agent.go; catalogue.go lists every event there is.
package domain
