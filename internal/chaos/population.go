package chaos

import (
	"fmt"
	"slices"
	"sync"
)

// What the clients know of what they have made. Lists are guarded by the
// workload's lock; of one thing one client at a time changes it, so that it
// knows what it has done, while all others use it.

type organization struct {
	id      string
	writing sync.Mutex // held by who changes it
	agents  []*agent
}

func (o *organization) key() string { return "organization " + o.id }

type agent struct {
	id           string
	organization *organization
	writing      sync.Mutex // held by who changes it
	secrets      []*secret
	tokens       []*token // old ones as well
	lent         []*lent  // to it
	gone         bool
}

func (a *agent) key() string { return "agent " + a.id }

// secret is one of a credential; rotation makes another one.
type secret struct {
	credential, text, key string
	gone                  bool // ended, or nobody knows
}

type token struct {
	text    string
	key     string
	restsOn []string
	since   Moment
}

// lent is a delegation.
type lent struct {
	chain, text string
	from, to    *agent
	restsOn     []string
	since       Moment
}

func (l *lent) key() string { return "delegation " + l.chain }

// restsOn is what a secret of the agent needs to be worth something.
func (a *agent) restsOn(s *secret) []string { return []string{s.key, a.key(), a.organization.key()} }

// anyAgent prefers those that have something to work with, but not always.
func (c *client) anyAgent() (who *agent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	const tries = 4
	for range tries {
		if len(c.organizations) == 0 {
			return nil
		}
		o := pick(c, c.organizations)
		if len(o.agents) == 0 {
			continue
		}
		if who = pick(c, o.agents); !who.gone && len(who.tokens) > 0 {
			return who
		}
	}
	return who
}

// neighbour is another agent of the organization; nil when there is none.
func (c *client) neighbour(of *agent) *agent {
	c.mu.Lock()
	defer c.mu.Unlock()
	other := pick(c, of.organization.agents)
	if other == of {
		return nil
	}
	return other
}

// anySecret prefers those that are thought to be good, but not always.
func (c *client) anySecret(of *agent) *secret {
	c.mu.Lock()
	defer c.mu.Unlock()
	const triesWhatIsGone = 8
	if len(of.secrets) == 0 {
		return nil
	}
	if c.rng.IntN(triesWhatIsGone) > 0 {
		if good := slices.DeleteFunc(slices.Clone(of.secrets), func(s *secret) bool { return s.gone }); len(good) > 0 {
			return pick(c, good)
		}
	}
	return pick(c, of.secrets)
}

// anyToken prefers the newest, but not always.
func (c *client) anyToken(of *agent) *token {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(of.tokens) == 0 {
		return nil
	}
	const triesOld = 4
	if c.rng.IntN(triesOld) > 0 {
		return of.tokens[len(of.tokens)-1]
	}
	return pick(c, of.tokens)
}

func (c *client) anyLent(to *agent) *lent {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(to.lent) == 0 {
		return nil
	}
	return pick(c, to.lent)
}

// keepToken remembers some of an agent's tokens.
func (c *client) keepToken(of *agent, t *token) {
	const most = 40
	c.mu.Lock()
	defer c.mu.Unlock()
	of.tokens = append(of.tokens, t)
	if len(of.tokens) > most {
		of.tokens = slices.Delete(of.tokens, 0, 1)
	}
}

// name is one that nobody has.
func (c *client) newName(of string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names++
	return fmt.Sprintf("%s-%d", of, c.names)
}

func pick[T any](c *client, from []T) T { return from[c.rng.IntN(len(from))] }
