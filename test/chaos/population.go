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
	gone    bool // deleted, or nobody knows
}

func (o *organization) key() string     { return "organization " + o.id }
func (o *organization) tierKey() string { return "tier of organization " + o.id }

type agent struct {
	id           string
	organization *organization
	writing      sync.Mutex // held by who changes it
	secrets      []*secret
	tokens       []*token // old ones as well
	lent         []*lent  // to it
	position     uint64   // of the last change of it that was acknowledged
	admin        bool     // of its organization
	gone         bool
}

func (a *agent) key() string            { return "agent " + a.id }
func (a *agent) scopesKey() string      { return "scopes of agent " + a.id }
func (a *agent) descriptionKey() string { return "description of agent " + a.id }

// secret is one of a credential; rotation makes another one.
type secret struct {
	credential, text, key string
	gone                  bool // ended, or nobody knows
}

type token struct {
	text, key    string
	secret       *secret // that it was got with, or the actor's token that was
	under        *lent   // nil for an agent's own
	whole        bool    // it has all scopes that an agent may have
	restsOn      []string
	asked, since Moment
}

func (t *token) need() Need { return Need{RestsOn: t.restsOn, Asked: t.asked, Since: t.since} }

// restsOn is what a secret of the agent needs to be worth something.
func (a *agent) restsOn(s *secret) []string { return []string{s.key, a.key(), a.organization.key()} }

// anyAgent prefers those that have what is wanted, but not always.
func (c *client) anyAgent(has func(*agent) bool) (who *agent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	const most, triesAnybody = 12, 16
	tries := most
	if c.rng.IntN(triesAnybody) == 0 {
		tries = 1
	}
	for range tries {
		if len(c.organizations) == 0 {
			return nil
		}
		o := pick(c, c.organizations)
		if len(o.agents) == 0 {
			continue
		}
		if who = pick(c, o.agents); !who.gone && has(who) {
			return who
		}
	}
	return who
}

func anything(*agent) bool    { return true }
func aSecret(a *agent) bool   { return len(a.secrets) > 0 }
func aToken(a *agent) bool    { return len(a.tokens) > 0 }
func aLoan(a *agent) bool     { return len(a.tokens) > 0 && len(a.lent) > 0 }
func authority(a *agent) bool { return a.admin }

func (c *client) agentsOf(o *organization) []*agent {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(o.agents)
}

// neighbour is another agent of the organization, mostly one that has a token;
// nil when there is none.
func (c *client) neighbour(of *agent) (other *agent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	const tries = 8
	for range tries {
		if other = pick(c, of.organization.agents); other != of && !other.gone && len(other.tokens) > 0 {
			return other
		}
	}
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
	return c.anyTokenOf(of, func(*token) bool { return true })
}

// ownToken is one that acts under no delegation.
func (c *client) ownToken(of *agent) *token {
	return c.anyTokenOf(of, func(t *token) bool { return t.under == nil })
}

// adminToken is one that gives an admin's rights; nil when the agent is none.
func (c *client) adminToken(of *agent) *token {
	return c.anyTokenOf(of, func(t *token) bool { return of.admin && t.under == nil && t.whole })
}

func (c *client) isAdmin(of *agent) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return of.admin
}

func (c *client) anyTokenOf(of *agent, fit func(*token) bool) *token {
	c.mu.Lock()
	defer c.mu.Unlock()
	return mostlyNewest(c, of.tokens, fit)
}

func (c *client) anyLent(to *agent) *lent {
	c.mu.Lock()
	defer c.mu.Unlock()
	return mostlyNewest(c, to.lent, func(*lent) bool { return true })
}

// mostlyNewest is the last that fits, or any; the zero T when none does.
func mostlyNewest[T any](c *client, from []T, fit func(T) bool) (chosen T) {
	const triesOld = 4
	fitting := slices.DeleteFunc(slices.Clone(from), func(t T) bool { return !fit(t) })
	switch {
	case len(fitting) == 0:
		return chosen
	case c.rng.IntN(triesOld) > 0:
		return fitting[len(fitting)-1]
	}
	return pick(c, fitting)
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
