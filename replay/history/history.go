package history

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// History answers what was so at a moment, and by which events. It reads the
// streams of the ledger and folds them with the domain's own Evolve; a read
// model is only asked where to look. It is safe for concurrent use.
type History struct{ source Source }

// New makes a history of the ledger in a store.
func New(store eventstore.Store, queries *readmodels.Queries, now func() time.Time) *History {
	return From(Source{Events: store, Finder: queries, Now: now, Late: "must not be in the future"})
}

// From makes a history of the events of a source.
func From(source Source) *History { return &History{source} }

// At is the moment that an answer is for.
type At struct {
	Time time.Time `json:"time"`
	// Position is that of the newest event that counts; 0 where the moment was
	// given as a time.
	Position eventstore.Position `json:"position,omitempty"`
}

// State is what was so of one thing, and of what is a part of it.
type State struct {
	At      At      `json:"at"`
	Subject Thing   `json:"subject"`
	Parts   []Thing `json:"parts,omitempty"`
}

func (i instant) at() At {
	if i.places {
		return At{Time: i.time}
	}
	return At{Time: i.time, Position: i.position}
}

// Organization tells what an organization was, and who its members were. The
// error is a [*domain.Error] when there was none.
func (h *History) Organization(ctx context.Context, id domain.OrganizationID, m Moment) (State, error) {
	at, err := h.instant(ctx, m)
	if err != nil {
		return State{}, err
	}
	was, err := h.organization(ctx, id, at)
	if err != nil {
		return State{}, err
	}
	if !was.state.Exists() {
		return State{}, neverWas(domain.CodeOrganizationNotFound, "organization", was.next)
	}
	return State{At: at.at(), Subject: was.things[0], Parts: was.things[1:]}, nil
}

// Credential tells what a credential was. The read model is asked whose it is.
func (h *History) Credential(ctx context.Context, id domain.CredentialID, m Moment) (State, error) {
	at, err := h.instant(ctx, m)
	if err != nil {
		return State{}, err
	}
	known, err := h.source.Finder.Credential(ctx, readmodels.AllOrganizations, id)
	if errors.Is(err, readmodels.ErrNotFound) {
		return State{}, neverWas(domain.CodeCredentialNotFound, "credential", nil)
	}
	if err != nil {
		return State{}, err
	}
	owner, err := h.agent(ctx, known.AgentID, at)
	if err != nil {
		return State{}, err
	}
	tenant, err := h.organization(ctx, owner.state.OrganizationID, at)
	if err != nil {
		return State{}, err
	}
	credential, found := owner.state.InEra(tenant.state.Era).Credential(id)
	if !found {
		return State{}, domain.Refuse(domain.CodeCredentialNotFound, "the credential did not exist then: it was made at %s",
			known.CreatedAt.Format(time.RFC3339Nano))
	}
	return State{At: at.at(), Subject: asOf(inEra(owner.thing(CredentialThing, id.UUID), credential, tenant), credential, at.time)}, nil
}

// Delegation tells what a delegation was, and whether it had ended with the
// credential it was made with, or with all access of who had part in it. What else it rests on [History.Agent] tells.
func (h *History) Delegation(ctx context.Context, id domain.DelegationID, m Moment) (State, error) {
	at, err := h.instant(ctx, m)
	if err != nil {
		return State{}, err
	}
	was, err := h.delegation(ctx, id, at)
	if err != nil {
		return State{}, err
	}
	if !was.state.Exists() {
		return State{}, neverWas(domain.CodeDelegationNotFound, "delegation", was.next)
	}
	tenant, err := h.organization(ctx, was.state.OrganizationID, at)
	if err != nil {
		return State{}, err
	}
	told, err := h.chains(tenant, at).withEnd(ctx, was)
	return State{At: at.at(), Subject: told}, err
}

func (h *History) agent(ctx context.Context, id domain.AgentID, at instant) (past[domain.Agent], error) {
	return fold(ctx, h.source.Events, domain.AgentStream(id), at, tellAgent)
}

func (h *History) organization(ctx context.Context, id domain.OrganizationID, at instant) (past[domain.Organization], error) {
	return fold(ctx, h.source.Events, domain.OrganizationStream(id), at, tellOrganization)
}

func (h *History) delegation(ctx context.Context, id domain.DelegationID, at instant) (past[domain.Delegation], error) {
	return fold(ctx, h.source.Events, domain.DelegationStream(id), at, tellDelegation)
}

// neverWas is the refusal for what did not exist at the moment: next is its
// first event, when it came to life later.
func neverWas(code domain.Code, what string, next *EventRef) error {
	if next == nil {
		return domain.Refuse(code, "there is no such %s", what)
	}
	created := next.Time.Format("2006-01-02T15:04:05.000Z07:00")
	if next.Position == 0 {
		return domain.Refuse(code, "the %s did not exist then: it was created at %s", what, created).With("createdAt", next.Time)
	}
	return domain.Refuse(code, "the %s did not exist then: it was created at %s, by the event at position %d", what, created, next.Position).
		With("createdAt", next.Time).With("position", next.Position)
}

// inEra says of a credential that ended with all of its organization's that it was
// revoked, by the event that began the era after its own.
func inEra(t Thing, c domain.Credential, tenant past[domain.Organization]) Thing {
	if c.Status != domain.CredentialIsRevoked || t.Facts.Get("status").Value == domain.CredentialIsRevoked || c.Era >= len(tenant.eras) {
		return t
	}
	by := tenant.eras[c.Era]
	t.Facts = slices.Clone(t.Facts)
	for i := range t.Facts {
		switch f := &t.Facts[i]; f.Name {
		case "status":
			f.Value, f.Event = c.Status, by
		case "revokedAt":
			f.Value, f.Event = moment(latest(by.Time, c.CreatedAt)), by
		}
	}
	return t
}

// asOf says of a credential whose time had run out that it was expired, by the
// event that set its time.
func asOf(t Thing, c domain.Credential, at time.Time) Thing {
	status := c.StatusAt(at)
	if status == c.Status {
		return t
	}
	facts := append(Facts{}, t.Facts...)
	for i := range facts {
		if facts[i].Name == "status" {
			facts[i].Value, facts[i].Event = status, t.Facts.Get("expiresAt").Event
		}
	}
	t.Facts = facts
	return t
}

// ParseThingKind reads what a state may be asked of.
func ParseThingKind(text string) (ThingKind, error) {
	switch kind := ThingKind(text); kind {
	case AgentThing, OrganizationThing, CredentialThing, DelegationThing:
		return kind, nil
	}
	return "", fmt.Errorf("%q is none of agent, organization, credential and delegation", text)
}

// Of tells the state of a thing of any kind but agents, whose is an [AgentState].
func (h *History) Of(ctx context.Context, kind ThingKind, id uuid.UUID, m Moment) (State, error) {
	switch kind {
	case OrganizationThing:
		return h.Organization(ctx, domain.OrganizationID{UUID: id}, m)
	case CredentialThing:
		return h.Credential(ctx, domain.CredentialID{UUID: id}, m)
	case DelegationThing:
		return h.Delegation(ctx, domain.DelegationID{UUID: id}, m)
	}
	return State{}, fmt.Errorf("no state is told of a %s", kind)
}
