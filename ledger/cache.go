package ledger

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/sentryagent/agentidp/domain"
)

// cache holds the aggregates of one kind that were used last, by stream. It is
// bounded in number and in size: what a tenant can make of its own aggregates
// must not be what the others' memory is spent on.
type cache[S any] struct {
	weigh func(S) int // about how many bytes a state takes
	most  int         // bytes

	mu    sync.Mutex // guards all below
	kept  *simplelru.LRU[string, weighed[S]]
	bytes int
}

type weighed[S any] struct {
	versioned versioned[S]
	bytes     int
}

func newCache[S any](number, bytes int, weigh func(S) int) *cache[S] {
	c := &cache[S]{weigh: weigh, most: bytes}
	kept, err := simplelru.NewLRU(number, func(_ string, gone weighed[S]) { c.bytes -= gone.bytes })
	if err != nil {
		panic(err) // the number is not positive: a programming error
	}
	c.kept = kept
	return c
}

func (c *cache[S]) get(stream string) (versioned[S], bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, found := c.kept.Get(stream)
	return known.versioned, found
}

// add keeps v unless something newer is known. What is too large for the cache
// as a whole is not kept.
func (c *cache[S]) add(stream string, v versioned[S]) {
	entry := weighed[S]{v, c.weigh(v.state)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, found := c.kept.Peek(stream); found {
		if known.versioned.revision >= v.revision {
			return
		}
		c.kept.Remove(stream)
	}
	if entry.bytes > c.most {
		return
	}
	for c.bytes+entry.bytes > c.most {
		c.kept.RemoveOldest()
	}
	c.kept.Add(stream, entry)
	c.bytes += entry.bytes
}

func (c *cache[S]) remove(stream string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept.Remove(stream)
}

// What the parts of the aggregates take in memory, about.
const (
	weightOfState      = 1024
	weightOfCredential = 384
	weightOfDIDKey     = 128
	weightOfID         = 48
)

func weighFixed[S any](S) int { return weightOfState }

func weighAgent(a domain.Agent) int {
	bytes := weightOfState + len(a.Profile.Metadata) + len(a.Profile.Description)
	for _, capability := range a.Profile.Capabilities {
		bytes += weightOfID + len(capability)
	}
	for _, c := range a.Credentials {
		bytes += weightOfCredential + len(c.PublicKey) + len(c.KeyID)
	}
	for _, k := range a.Keys.Retired {
		bytes += weightOfDIDKey + len(k.PublicKey)
	}
	return bytes
}

func weighOrganization(o domain.Organization) int {
	return weightOfState + weightOfID*(len(o.Members)+len(o.Suspending)+len(o.AdminSince))
}

func weighPartner(p domain.Partner) int {
	bytes := weightOfState + len(p.Issuer) + len(p.JWKSURI)
	for _, organization := range p.AllowedOrganizations {
		bytes += weightOfID + len(organization)
	}
	return bytes
}

func weighSeats(s domain.Seats) int { return weightOfState + weightOfID*len(s.Taken) }
