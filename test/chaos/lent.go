package chaos

import (
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
)

// lent is a delegation: a link of a chain.
type lent struct {
	chain, text string
	from, to    *agent
	above       *lent  // that the delegator lends on; nil at the root
	maxDepth    int    // how many may follow below
	depth       int    // how many are above
	madeWith    string // the key of the secret that the lender's token was issued for
}

func (l *lent) key() string { return "delegation " + l.chain }

func (l *lent) stream() string {
	return domain.DelegationStream(domain.DelegationID{UUID: uuid.MustParse(l.chain)})
}

// restsOn is what it takes to use it: every link up to the root, who lent and
// was lent it and with which secret, and the organization.
func (l *lent) restsOn() []string {
	keys := []string{l.to.organization.key(), l.to.key()}
	for link := l; link != nil; link = link.above {
		keys = append(keys, link.key(), link.from.key(), link.madeWith)
	}
	return keys
}

// endsTokens is what a token got for it rests on beside that: when an agent
// loses scopes, the delegation lives on, and tokens do not.
func (l *lent) endsTokens() []string {
	keys := []string{l.to.scopesKey()}
	for link := l; link != nil; link = link.above {
		keys = append(keys, link.from.scopesKey())
	}
	return keys
}
