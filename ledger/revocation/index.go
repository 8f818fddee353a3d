// Package revocation knows whether a token is alive. An [Index] is fed from the
// ledger, which is all that it trusts. Code that must be right asks [Index.Sync]
// for a [View]: a view has seen everything that was committed anywhere before
// that call, or there is none.
package revocation

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/internal/wait"
)

// Index knows which tokens are dead although their signature and expiry say
// otherwise, and how every organization and federation partner stands. It is kept in memory and fed
// from the ledger alone, so it needs nobody's cache and misses nothing. It
// answers through a [View].
type Index struct {
	store   eventstore.Store
	options Options
	filter  eventstore.Filter
	group   sharedReads

	feeding      sync.Mutex // held while events are applied, and while all is copied
	nextSnapshot time.Time  // when one is due, as far as this server knows; Run's own

	mu            sync.RWMutex // guards what follows
	applied       eventstore.Position
	synced        bool // since the start, once at least
	agents        map[domain.AgentID]fate
	credentials   map[domain.CredentialID]fate
	organizations map[domain.OrganizationID]organization
	tokens        map[domain.TokenID]time.Time // revoked; until they would expire
	delegations   map[domain.DelegationID]link // until they expire
	signingKeys   map[string]time.Time         // whose tokens have all ended, by kid; since when
	partners      map[domain.PartnerID]domain.Partner
	issuers       map[string]domain.PartnerID // of the partners
}

// fate is what has happened to the owner of tokens.
type fate struct {
	Dead bool                `json:"dead,omitempty"` // now
	Cut  eventstore.Position `json:"cut"`            // tokens issued up to here are dead, whatever it is now
	At   time.Time           `json:"at"`             // when that was
	// Lent is up to where delegations are dead: of a credential those made with it,
	// of an agent those from and to it, of an organization all. Of a credential so
	// are those that knew its agent's stream up to a revision before LentRevision only.
	Lent         eventstore.Position `json:"lent,omitempty"`
	LentRevision int64               `json:"lentRevision,omitempty"`
}

// Options tune an [Index]; the zero value is good.
type Options struct {
	// MinInterval is the least time from one read of the ledger to the next.
	// Default: 0, readers wait for nothing but the read itself.
	MinInterval time.Duration
	// Crowd is how many have to wait for a second read to begin while one is under
	// way. It is for engines where reads take long and cost little. Default: never.
	Crowd int
	// Timeout bounds one read but the first, which an engine without an index of
	// types takes as long for as the ledger is. Default: 5 s.
	Timeout time.Duration
	// LoadTimeout bounds the first read, which takes as long as the ledger is.
	// Default: a day.
	LoadTimeout time.Duration
	// Keep is how long at least is remembered what became of an agent or a
	// credential: longer than any token lives. Default: two hours.
	Keep time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Observe hears of each read of the ledger; it must be quick.
	Observe func(Observation)
	// Snapshots spare a server that starts the reading of the whole ledger. Nil: none.
	Snapshots *Snapshots
}

// Observation is what one read of the ledger did.
type Observation struct {
	Duration time.Duration
	Callers  int                 // that waited for it
	Events   int                 // applied
	Position eventstore.Position // up to which the index is complete; after a failure, as before
	Err      error
}

// Size is how much an [Index] holds.
type Size struct{ Agents, Credentials, Organizations, Tokens, Delegations int }

// wanted selects what ends tokens, the delegations that tokens may rest on, and
// what changes an organization or a federation partner.
func wanted() eventstore.Filter {
	wanted := domain.TypesEnding(domain.TokenOwners()...)
	wanted = append(wanted, domain.TypesChanging(domain.DelegationNoun)...)
	wanted = append(wanted, domain.TypesChanging(domain.OrganizationNoun, domain.PartnerNoun)...)
	slices.Sort(wanted)
	return follow.Filter(slices.Compact(wanted))
}

// New makes an index that knows of nothing until the first Sync.
func New(store eventstore.Store, options Options) *Index {
	if options.Timeout <= 0 {
		options.Timeout = 5 * time.Second
	}
	if options.LoadTimeout <= 0 {
		options.LoadTimeout = 24 * time.Hour
	}
	if options.Keep <= 0 {
		options.Keep = 2 * domain.TokenLifetime
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Observe == nil {
		options.Observe = func(Observation) {}
	}
	r := &Index{
		store: store, options: options, filter: wanted(),
		agents:        make(map[domain.AgentID]fate),
		credentials:   make(map[domain.CredentialID]fate),
		organizations: make(map[domain.OrganizationID]organization),
		tokens:        make(map[domain.TokenID]time.Time),
		delegations:   make(map[domain.DelegationID]link),
		signingKeys:   make(map[string]time.Time),
		partners:      make(map[domain.PartnerID]domain.Partner),
		issuers:       make(map[string]domain.PartnerID),
	}
	r.group.read, r.group.crowd = r.read, options.Crowd
	return r
}

// Position is up to where the index is complete.
func (r *Index) Position() eventstore.Position {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.applied
}

// Size is how much the index holds.
func (r *Index) Size() Size {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return Size{
		Agents: len(r.agents), Credentials: len(r.credentials), Organizations: len(r.organizations),
		Tokens: len(r.tokens), Delegations: len(r.delegations),
	}
}

// Run loads the index and keeps it fresh until ctx ends: it keeps up each second
// and forgets what no living token can need.
func (r *Index) Run(ctx context.Context) {
	const interval, pruneEvery = time.Second, time.Minute
	backoff := wait.Backoff{First: 100 * time.Millisecond, Longest: 5 * time.Second}
	var pruned time.Time
	for {
		delay := interval
		err := r.keepUp(ctx)
		if err != nil {
			delay = wait.Jitter(backoff.Next())
		} else {
			backoff.Reset()
		}
		if now := r.options.Now(); now.Sub(pruned) >= pruneEvery {
			r.Prune(now)
			pruned = now
		}
		if err == nil {
			r.saveSnapshot(ctx)
		}
		if wait.For(ctx, delay) != nil {
			return
		}
	}
}

// Prune forgets what no token and no delegation can need that has not expired by
// now: revoked tokens and delegations past their expiry, and what became of
// agents, credentials and signing keys, dead or alive, once no token of that time can
// live and no living delegation rests on them. Nothing new comes from what is dead: the
// aggregates refuse that. Organizations stay, since tokens are issued by what is
// known of them here, and so do partners.
func (r *Index) Prune(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.tokens, func(_ domain.TokenID, expiry time.Time) bool { return !now.Before(expiry) })
	maps.DeleteFunc(r.delegations, func(_ domain.DelegationID, l link) bool { return !now.Before(l.ExpiresAt) })
	parties, credentials := make(map[domain.AgentID]bool), make(map[domain.CredentialID]bool)
	for _, l := range r.delegations {
		parties[l.Delegator], parties[l.Delegatee], credentials[l.Credential] = true, true, true
	}
	oldest := now.Add(-r.options.Keep)
	maps.DeleteFunc(r.agents, func(id domain.AgentID, f fate) bool { return f.At.Before(oldest) && !parties[id] })
	maps.DeleteFunc(r.credentials, func(id domain.CredentialID, f fate) bool { return f.At.Before(oldest) && !credentials[id] })
	maps.DeleteFunc(r.signingKeys, func(_ string, ended time.Time) bool { return ended.Before(oldest) })
}

// longPast reports whether nothing can live that an event then has ended,
// whoever it was about: it need not even be taken in.
func (r *Index) longPast(at time.Time) bool {
	return at.Before(r.options.Now().Add(-r.options.Keep - domain.MaxDelegationTTL*time.Second))
}
