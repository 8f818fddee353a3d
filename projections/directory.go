package projections

import (
	"encoding/json"
	"maps"
	"sync"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/follow"
)

// Directory knows of every organization what requests are decided by: whether
// it is active, its tier and its limits. It is kept in memory and rides on the
// reads of [Revocations], see [Directory.Fold]: after a Sync it knows every
// change that was committed before the call.
type Directory struct {
	mu            sync.RWMutex // guards organizations
	organizations map[domain.OrganizationID]domain.Organization
}

// Standing is how an organization stands.
type Standing struct {
	Status domain.OrganizationStatus
	Tier   domain.Tier
	Limits domain.Limits // overrides included
}

// NewDirectory makes a directory that knows of nobody.
func NewDirectory() *Directory {
	return &Directory{organizations: make(map[domain.OrganizationID]domain.Organization)}
}

// Fold is how the directory is fed. Members are left out: nothing here depends
// on them.
func (d *Directory) Fold() Fold {
	return Fold{
		Types: domain.TypesChanging(domain.OrganizationNoun),
		Apply: d.apply, Save: d.save, Restore: d.restore,
	}
}

// Standing of an organization; found is false when it was never created, as
// far as is known.
func (d *Directory) Standing(id domain.OrganizationID) (standing Standing, found bool) {
	d.mu.RLock()
	o, found := d.organizations[id]
	d.mu.RUnlock()
	return Standing{Status: o.Status, Tier: o.Tier, Limits: o.Limits()}, found
}

// Size is how many organizations are known.
func (d *Directory) Size() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.organizations)
}

func (d *Directory) apply(e follow.Event) {
	if domain.Changes(e.Fact) != domain.OrganizationNoun {
		return
	}
	id := domain.About(e.Fact).Organization
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.organizations[id].Evolve(e.Fact, e.Time)
	o.Members = nil
	d.organizations[id] = o
}

func (d *Directory) save() any {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return maps.Clone(d.organizations)
}

func (d *Directory) restore(saved json.RawMessage) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return json.Unmarshal(saved, &d.organizations)
}
