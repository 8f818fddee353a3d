package chaos

import (
	"fmt"
	"strings"

	"github.com/sentryagent/agentidp/eventstore"
)

// Rule names a promise that a history can break.
type Rule string

const (
	RuleChain        Rule = "the chain holds"
	RuleDecoded      Rule = "every event can be read"
	RuleStream       Rule = "an event is on the stream of what it is about"
	RuleAllowed      Rule = "an event is one that the state allowed"
	RuleUnique       Rule = "what is unique is there once"
	RuleClaimed      Rule = "what is unique was claimed first"
	RuleSeated       Rule = "who is registered has a seat within the cap"
	RuleOrganization Rule = "an organization's state allowed it"
	RuleDelegation   Rule = "a delegation stays within its bounds"
	RuleTree         Rule = "one tree of each size is signed, the ledger's own"
	RuleAcknowledged Rule = "what was acknowledged is there once"
	RuleUnanswered   Rule = "what was not acknowledged is there once at most"
	RuleRefused      Rule = "what was refused is not there"
	RuleRepeated     Rule = "a repeat under its key gives what was made"
	RuleRead         Rule = "a read shows what was acknowledged before"
	RuleTrail        Rule = "an audit trail has every event up to its newest"
	RuleRevoked      Rule = "what was ended stays ended"
	RuleInVain       Rule = "nothing is refused without a reason"
	RuleAnswer       Rule = "no answer says that the server is at a loss"
	RuleReadModel    Rule = "read models equal a fresh rebuild"
)

// Violation is a promise that was broken, and how that shows.
type Violation struct {
	Rule     Rule
	Position eventstore.Position // of the event that shows it; 0 when it is none
	Detail   string
}

func (v Violation) String() string {
	if v.Position == 0 {
		return fmt.Sprintf("%s: %s", v.Rule, v.Detail)
	}
	return fmt.Sprintf("%s: at position %d: %s", v.Rule, v.Position, v.Detail)
}

// Shortest is the evidence in a few lines: of each rule that was broken the
// first violation, and how many there are.
func Shortest(violations []Violation) string {
	count := map[Rule]int{}
	var first []Violation
	for _, v := range violations {
		if count[v.Rule]++; count[v.Rule] == 1 {
			first = append(first, v)
		}
	}
	var b strings.Builder
	for _, v := range first {
		fmt.Fprintf(&b, "  %s (%d of these)\n", v, count[v.Rule])
	}
	return b.String()
}
