package federation

import (
	"context"
	"fmt"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/sentryagent/agentidp/domain"
)

const (
	rememberedPartners = 1024
	// unknownKeyPause is the least time between two fetches for keys that a partner
	// was not known to have.
	unknownKeyPause = 30 * time.Second
	// failurePause is how long a partner is left alone whose keys could not be had.
	failurePause = 5 * time.Second
)

// keyCache has the keys of partners, for a time. What it has is of one edition of a
// partner: whoever comes with another one, because the partner has been changed by
// whichever node, gets keys that are fetched then.
type keyCache struct {
	fetch   Fetch
	ttl     time.Duration
	now     func() time.Time
	flights singleflight.Group

	mu       sync.Mutex // guards the holdings, which are replaced and never changed
	holdings *lru.Cache[domain.PartnerID, holding]
}

// holding is what is known of a partner's keys.
type holding struct {
	edition   int
	keys      []key // none: they could not be had
	err       error // why not
	at        time.Time
	lookedFor time.Time // when they were fetched for a key that was not there; zero: never
}

func newKeyCache(fetch Fetch, ttl time.Duration, now func() time.Time) (*keyCache, error) {
	holdings, err := lru.New[domain.PartnerID, holding](rememberedPartners)
	return &keyCache{fetch: fetch, ttl: ttl, now: now, holdings: holdings}, err
}

// find gives the partner's keys that fit a token, none where the partner has none. The
// error is that its keys could not be had.
func (c *keyCache) find(ctx context.Context, partner domain.Partner, kid, algorithm string) ([]key, error) {
	known, fresh := c.known(partner)
	if !fresh {
		var err error
		if known, err = c.renew(ctx, partner, false); err != nil {
			return nil, err
		}
	}
	found := fitting(known.keys, kid, algorithm)
	if len(found) > 0 || known.err != nil || !fresh || !c.mayLook(known) {
		return found, known.err
	}
	renewed, err := c.renew(ctx, partner, true)
	return fitting(renewed.keys, kid, algorithm), err
}

// known is what is held of this edition of the partner; fresh is false where it has to
// be fetched.
func (c *keyCache) known(partner domain.Partner) (h holding, fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, held := c.holdings.Get(partner.ID)
	if !held || h.edition != partner.Edition {
		return holding{}, false
	}
	patience := c.ttl
	if h.err != nil {
		patience = failurePause
	}
	return h, c.now().Sub(h.at) < patience
}

// mayLook reports whether it is time to fetch keys for one that is not among them.
func (c *keyCache) mayLook(h holding) bool { return c.now().Sub(h.lookedFor) >= unknownKeyPause }

// renew fetches the keys, once for all who ask at the same time; looking is for a key
// that is not among those that are known. Who comes too late to join the others finds
// that there is nothing to do. Nobody's hanging up ends it for the others.
func (c *keyCache) renew(ctx context.Context, partner domain.Partner, looking bool) (holding, error) {
	flight := c.flights.DoChan(fmt.Sprint(partner.ID, partner.Edition, looking), func() (any, error) {
		if h, fresh := c.known(partner); fresh && !(looking && c.mayLook(h)) {
			return h, nil
		}
		keys, err := fetchKeys(context.WithoutCancel(ctx), c.fetch, partner.JWKSURI)
		if err != nil {
			err = fmt.Errorf("the keys of the federation partner could not be had: %w", err)
		}
		fetched := holding{edition: partner.Edition, keys: keys, err: err, at: c.now()}
		if looking {
			fetched.lookedFor = fetched.at
		}
		return c.keep(partner.ID, fetched), nil
	})
	select {
	case landed := <-flight:
		h, _ := landed.Val.(holding)
		return h, landed.Err
	case <-ctx.Done():
		return holding{}, ctx.Err()
	}
}

// keep gives what is held from now on. Where looking for a key fails, those that were
// known go on counting.
func (c *keyCache) keep(id domain.PartnerID, fetched holding) holding {
	c.mu.Lock()
	defer c.mu.Unlock()
	held, there := c.holdings.Get(id)
	same := there && held.edition == fetched.edition
	switch {
	case there && held.edition > fetched.edition:
		return fetched // for those who came before the change
	case same && fetched.lookedFor.IsZero():
		fetched.lookedFor = held.lookedFor
	case same && fetched.err != nil && held.err == nil:
		held.lookedFor = fetched.lookedFor
		fetched = held
	}
	c.holdings.Add(id, fetched)
	return fetched
}
