// Package domain says what an identity is: its aggregates, the events that
// make them, the commands they accept and the rules in between. It is pure.
// Nothing here does I/O, reads a clock or makes a random number: time, ids and
// secrets' verifiers arrive inside commands, so every decision can be replayed.
//
// Start with agent.go; catalogue.go lists every event there is.
//
// # Glossary
//
// The words of the whole house, and what each of them means wherever it stands.
//
// What is decided:
//
//   - Command: a wish, in the imperative ([DecommissionAgent]).
//   - Event: a fact, in the past tense ([AgentDecommissioned]), with an explicit
//     dotted name ("agent.decommissioned") and a schema, the version of its shape.
//   - Aggregate: what a decision is made on, folded from one stream of events.
//     Decide(command) gives events or an [*Error] and changes nothing;
//     Evolve(event) applies a fact and never refuses one.
//   - Refusal: the [*Error] of a command that the rules do not allow. It has a code,
//     and nothing was written.
//   - Catalogue: one row for each event type, which says what such an event is
//     about ([About]), what it changes ([Changes]), how the audit trail shows it
//     ([Audited]) and which tokens it ends ([EndingOf]).
//   - Upcaster: one step from an event's old schema to the next.
//
// Who there is:
//
//   - Agent: a non-human identity, its credentials and its token issuances: one
//     stream, because "no token after a revocation" is a rule about all three.
//   - Organization: the tenant that agents belong to, its tier and members.
//   - Member: an agent with a role in its organization. An admin is a member who
//     may act for all of it.
//   - Operator: who runs the servers. An agent too, of an organization of its own.
//   - Tier: what an organization has booked, and so its caps and quotas.
//   - Seats: how many active agents an organization has; holds the cap.
//   - Partner: an issuer of somebody else's whose tokens are verified here, for as long
//     as the operator says.
//   - Claim: the right to a unique value (an e-mail address, a slug, an issuer).
//
// What they may:
//
//   - Credential: what an agent shows to get a token: a secret or a public key.
//   - Verifier: what is kept of a secret, so that it can be checked and not read.
//   - Scope: a permission. An agent has allowed scopes; a token has some of them.
//   - Grant: a way to get a token (RFC 6749 section 1.3).
//   - Token: an access token, signed, for one audience and a short time.
//   - Delegation: authority that one agent, the delegator, has lent another, the
//     delegatee; one link of a chain where it was lent on.
//   - Exchange: getting a token for what was lent (RFC 8693).
//   - Basis: the position up to which a decision knew the ledger. What ends tokens
//     above it ends the token as well.
//   - Ending: what an event does to tokens ([Ending]); revocation is one of several.
//   - Era: the time of an organization from one ending of all its credentials to the
//     next. A credential is of the era that it was made in, and ends with it.
//
// Where it is written:
//
//   - Ledger: all events there are, in one order.
//   - Engine: what keeps the ledger: PostgreSQL, EventStoreDB, or memory in tests.
//   - Stream: the events of one aggregate. A revision counts them, from 0.
//   - Position: the place of an event in the ledger. It grows, with gaps or without.
//   - Head: the newest position.
//   - Record: the bytes of an event as they were sealed. Its hash is theirs.
//   - Chain: each record names the hash of the one before it in its stream.
//   - Append: one write of events to the end of a stream, all or none. It names the
//     revision that it expects; a conflict is the answer that another came first.
//   - Snapshot: an aggregate at a revision, kept to be loaded faster and believed
//     only with its seal.
//   - Lane: the queue of the commands on one stream, of one process.
//
// How it is read:
//
//   - Read model: tables that answer questions, folded from the ledger; can always be
//     made again. A projection is the code that folds one.
//   - Place: up to where somebody has read the ledger.
//   - Rebuild: making a read model again from the beginning, beside the old one.
//   - Lease: the right of one process to do what only one may, for as long as it holds.
//   - Job: what runs by itself once in an interval, on one process of all.
//   - Control: something an auditor wants to hold, with when it was last seen to.
//
// How it is proven:
//
//   - Verification: reading the ledger and holding it to what it promises. What does
//     not hold is a finding, of a kind.
//   - Log: the signed tree over events (RFC 6962), of the whole ledger or of one
//     organization.
//   - Checkpoint: the signed size and root of a log (C2SP tlog-checkpoint).
//   - Witness: somebody else who signs that a log only grows.
//   - Bundle: a part of the ledger in a file, with what proves it offline.
//   - Adoption: an operator's word that the ledger is another than the one it was, or
//     has lost its end; it is on record.
package domain
