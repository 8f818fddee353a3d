// Package history answers what was so at a moment, and names the event that made
// it so. [New] tells of the running ledger, [From] of any [Source] of its events.
//
// It folds streams with the domain's own Evolve, so an answer is what a decision
// would have been made on at that moment.
package history
