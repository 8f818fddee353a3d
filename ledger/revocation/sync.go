package revocation

import (
	"context"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
)

// keepUp reads what came, and need not know everything: it asks for nothing that
// the engine has at hand.
func (r *Index) keepUp(ctx context.Context) error {
	if !r.loaded() {
		return r.group.join(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, r.options.Timeout)
	defer cancel()
	return r.bring(ctx, 1, func(ctx context.Context) (eventstore.Position, error) {
		return eventstore.Reached(ctx, r.store) // it may be behind what is known, and that is no loss
	})
}

// read applies what the ledger has beyond what is applied. The head is asked
// for first: when all that is relevant has been read after that, the index is
// complete up to the head, and the next read begins there.
func (r *Index) read(callers int) (pauseUntil time.Time, err error) {
	patience := r.options.Timeout
	if !r.loaded() {
		patience = r.options.LoadTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	start := time.Now()
	err = r.bring(ctx, callers, r.head)
	return start.Add(r.options.MinInterval), err
}

// head is that of a ledger which has all that is known of it.
func (r *Index) head(ctx context.Context) (eventstore.Position, error) {
	return eventstore.WholeHead(ctx, r.store, r.Position())
}

// bring is catchUp for so many callers, observed.
func (r *Index) bring(ctx context.Context, callers int, ask func(context.Context) (eventstore.Position, error)) error {
	start := time.Now()
	events, err := r.catchUp(ctx, ask)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrStale, err)
	}
	r.options.Observe(Observation{
		Duration: time.Since(start), Callers: callers, Events: events, Position: r.Position(), Err: err,
	})
	return err
}

// loaded reports whether there has been a whole read.
func (r *Index) loaded() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.synced
}

// catchUp applies what the ledger has up to a head that is asked for.
func (r *Index) catchUp(ctx context.Context, ask func(context.Context) (eventstore.Position, error)) (events int, err error) {
	if err := r.restoreOnce(ctx); err != nil {
		return 0, err
	}
	head, err := ask(ctx)
	if err != nil {
		return 0, err
	}
	r.feeding.Lock()
	defer r.feeding.Unlock()
	if applied := r.Position(); head > applied { // only we move it
		for stored, err := range eventstore.ReadNew(ctx, r.store, applied, head, r.filter) {
			if err != nil {
				return events, err
			}
			event, err := follow.Decode(stored)
			if err != nil {
				return events, fmt.Errorf("event at position %d: %w", stored.Position, err)
			}
			r.apply(event)
			events++
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.applied = max(r.applied, head)
	r.synced = true
	return events, nil
}

func (r *Index) restoreOnce(ctx context.Context) error {
	r.feeding.Lock()
	defer r.feeding.Unlock()
	return r.restore(ctx)
}

// apply takes one event. Where a read fails later, the next one goes on after it.
func (r *Index) apply(e follow.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	about, ending := domain.About(e.Fact), domain.EndingOf(e.Fact)
	switch ending.Tokens {
	case domain.AgentNoun:
		note(r, r.agents, about.Agent, r.agents[about.Agent].after(e, ending))
	case domain.CredentialNoun:
		f := r.credentials[about.Credential].after(e, ending)
		if !ending.DelegationsKept {
			f.Lent, f.LentRevision = e.Position, e.Revision
		}
		note(r, r.credentials, about.Credential, f)
	case domain.TokenNoun:
		if r.options.Now().Before(ending.Expiry) {
			r.tokens[about.Token] = ending.Expiry
		}
	case domain.OrganizationNoun:
		o := r.organizations[about.Organization]
		o.fate = o.after(e, ending)
		r.organizations[about.Organization] = o
	case domain.DelegationNoun:
		r.endLink(about.Delegation)
	case domain.SigningKeyNoun:
		if !r.longPast(e.Time) {
			r.signingKeys[about.SigningKey] = e.Time
		}
	}
	if made, is := e.Fact.(domain.DelegationCreated); is {
		r.addLink(made, e.Position)
	}
	switch domain.Changes(e.Fact) {
	case domain.OrganizationNoun:
		r.organizations[about.Organization] = r.organizations[about.Organization].evolved(e)
	case domain.PartnerNoun:
		r.setPartner(about.Partner, r.partners[about.Partner].Evolve(e.Fact, e.Time))
	}
	r.applied = e.Position
}

// after is what has become of an owner of tokens with an event that ends them.
func (f fate) after(e follow.Event, ending domain.Ending) fate {
	f.Cut, f.At = e.Position, e.Time
	if ending.Delegations {
		f.Lent = e.Position
	}
	switch ending.Owner {
	case domain.ShutOut:
		f.Dead = true
	case domain.LetIn:
		f.Dead = false
	case domain.AsBefore:
	}
	return f
}

// note keeps a fate, unless it is too long past to matter.
func note[ID comparable](r *Index, fates map[ID]fate, id ID, f fate) {
	if r.longPast(f.At) {
		delete(fates, id)
		return
	}
	fates[id] = f
}
