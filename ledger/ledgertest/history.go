package ledgertest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// History makes things happen at random, in an order that can happen. Begin with
// TB, T, Store and At.
type History struct {
	TB            testing.TB
	T             *rapid.T
	Store         eventstore.Store
	At            time.Time           // of the newest event
	Head          eventstore.Position // likewise
	Organizations []domain.OrganizationID
	Agents        []domain.Agent // as their events make them
	Delegations   []domain.Delegation
	Partners      []domain.Partner
	issuances     []uuid.UUID // of tokens, by the ids of their events
	eras          map[domain.OrganizationID]era
}

func (h *History) record(stream string, organization domain.OrganizationID, facts ...domain.Event) {
	var drafts []eventstore.Draft
	for _, f := range facts {
		h.At = h.At.Add(time.Duration(rapid.IntRange(0, 40).Draw(h.T, "hours")) * time.Hour)
		d := Draft(h.TB, organization, h.At, f)
		if n := len(h.issuances); n > 0 && rapid.Bool().Draw(h.T, "with a token") {
			d.Causation = h.issuances[rapid.IntRange(0, n-1).Draw(h.T, "which token")]
		}
		if _, issues := f.(domain.TokenIssued); issues {
			h.issuances = append(h.issuances, d.ID)
		}
		drafts = append(drafts, d)
	}
	appended, err := h.Store.Append(h.TB.Context(), stream, eventstore.Any(), drafts...)
	if err != nil {
		h.TB.Fatal(err)
	}
	h.Head = appended.Position()
}

// agent applies facts to an agent, as recorded.
func (h *History) agent(i int, facts ...domain.Event) {
	for _, f := range facts {
		h.record(domain.AgentStream(h.Agents[i].ID), h.Agents[i].OrganizationID, f)
		at := h.At.UTC().Truncate(time.Microsecond)
		h.Agents[i] = h.eras[h.Agents[i].OrganizationID].reach(h.Agents[i].Evolve(f, at))
		for j := range h.Delegations {
			if !domain.EndedWith(f).IsZero() || domain.EndingOf(f).Delegations {
				h.Delegations[j] = h.Delegations[j].Evolve(f, at)
			}
		}
	}
}

// delegation applies facts to a delegation, as recorded.
func (h *History) delegation(i int, facts ...domain.Event) {
	for _, f := range facts {
		h.record(domain.DelegationStream(h.Delegations[i].ID), h.Delegations[i].OrganizationID, f)
		h.Delegations[i] = h.Delegations[i].Evolve(f, h.At.UTC().Truncate(time.Microsecond))
	}
}

// Step lets one thing happen.
func (h *History) Step() {
	kind := rapid.IntRange(0, 19).Draw(h.T, "kind")
	if len(h.Organizations) == 0 {
		kind = 0
	} else if len(h.Agents) == 0 && kind > 4 {
		kind = 4
	}
	pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(h.T, "which") }
	if kind <= 4 {
		h.organizationStep(kind, pick)
		return
	}
	if kind == 19 {
		h.partnerStep(pick)
		return
	}
	i := pick(len(h.Agents))
	id := h.Agents[i].ID
	switch kind {
	case 5:
		owner, reduced := rapid.SampledFrom([]string{"ops", "a b", "é"}).Draw(h.T, "owner"), rapid.Bool().Draw(h.T, "reduced")
		capabilities := rapid.SampledFrom([][]string{{}, {"a:b"}, {"a:b", "c:d"}}).Draw(h.T, "capabilities")
		scopes := domain.NewScopes(domain.ScopeAuditRead)
		h.agent(i, domain.AgentUpdated{AgentID: id, Owner: &owner, Capabilities: &capabilities, Scopes: &scopes, ScopesReduced: reduced})
	case 6:
		h.agent(i, domain.AgentSuspended{AgentID: id})
	case 7:
		h.agent(i, domain.AgentReactivated{AgentID: id})
	case 8:
		h.agent(i, domain.AgentDecommissioned{AgentID: id})
	case 9:
		expiry := h.At.Add(time.Hour).UTC()
		h.agent(i, domain.CredentialGenerated{AgentID: id, CredentialID: NewCredentialID(), Kind: domain.SecretCredential,
			Verifier: &domain.Verifier{KeyID: "k", MAC: []byte("not to be seen")}, ExpiresAt: &expiry,
			Era: max(0, h.eras[h.Agents[i].OrganizationID].number-rapid.IntRange(0, 1).Draw(h.T, "eras behind"))})
	case 10, 11:
		if n := len(h.Agents[i].Credentials); n > 0 && kind == 10 {
			h.agent(i, domain.CredentialRotated{AgentID: id, CredentialID: h.Agents[i].Credentials[pick(n)].ID,
				DelegationsKept: rapid.Bool().Draw(h.T, "kept")})
		} else if n > 0 && rapid.Bool().Draw(h.T, "expired") {
			h.agent(i, domain.CredentialExpired{AgentID: id, CredentialID: h.Agents[i].Credentials[pick(n)].ID, ExpiredAt: h.At.UTC()})
		} else if n > 0 {
			h.agent(i, domain.CredentialRevoked{AgentID: id, CredentialID: h.Agents[i].Credentials[pick(n)].ID})
		}
	case 12:
		h.agent(i, Issued(id, NewCredentialID()), Issued(id, NewCredentialID()))
	case 13:
		h.record(domain.SecurityStream("2026-01-01"), h.Agents[i].OrganizationID,
			domain.AuthFailed{ClientID: rapid.SampledFrom([]string{id.String(), "x"}).Draw(h.T, "client"), Reason: domain.AuthWrongSecret})
	case 14:
		link := Delegated(h.Agents[i].OrganizationID, id, h.Agents[pick(len(h.Agents))].ID)
		if n := len(h.Delegations); n > 0 && h.Delegations[n-1].OrganizationID == link.OrganizationID {
			link.ParentID, link.Depth = &h.Delegations[n-1].ID, 1
		}
		if n := len(h.Agents[i].Credentials); n > 0 && rapid.Bool().Draw(h.T, "with a credential") {
			link.CredentialID = &h.Agents[i].Credentials[pick(n)].ID
		}
		h.Delegations = append(h.Delegations, domain.Delegation{ID: link.DelegationID, OrganizationID: link.OrganizationID})
		h.delegation(len(h.Delegations)-1, link)
	case 15:
		if n := len(h.Delegations); n > 0 {
			which := pick(n)
			d := h.Delegations[which]
			exchanged := Issued(d.DelegateeID, NewCredentialID())
			exchanged.Delegation, exchanged.Subject = &d.ID, &d.DelegatorID
			h.delegation(which, exchanged, domain.DelegationRevoked{DelegationID: d.ID, DelegatorID: d.DelegatorID, RevokedBy: id})
		}
	case 16:
		h.agent(i, domain.AgentAccessRevoked{AgentID: id, Reason: "r", Credentials: rapid.Bool().Draw(h.T, "credentials")})
	case 17:
		h.revokeOrganization(h.Agents[i].OrganizationID)
	case 18:
		h.didStep(i)
	}
}

// didStep makes an agent's DID, or rotates its key.
func (h *History) didStep(i int) {
	id, keys := h.Agents[i].ID, h.Agents[i].Keys
	switch {
	case h.Agents[i].Status == domain.AgentIsGone:
	case !keys.Exist():
		h.agent(i, domain.DIDCreated{
			AgentID: id, DID: h.Agents[i].DID, KeyNumber: 1, PublicKey: json.RawMessage(`{"crv":"P-256"}`), Custody: domain.CustodyServer,
		})
	case keys.Current.Number > 0:
		next := keys.Current.Number + 1
		h.agent(i, domain.DIDKeyRotated{
			AgentID: id, KeyNumber: next, PublicKey: json.RawMessage(fmt.Sprintf(`{"crv":"P-256","x":"%d"}`, next)), Custody: domain.CustodyAgent,
		})
	}
}

// revokeOrganization ends all access in an organization, and maybe an era.
func (h *History) revokeOrganization(id domain.OrganizationID) {
	revoked := domain.OrganizationAccessRevoked{OrganizationID: id, Reason: "r", Credentials: rapid.Bool().Draw(h.T, "credentials")}
	if revoked.Credentials {
		revoked.Era = h.eras[id].number + 1
	}
	h.record(domain.OrganizationStream(id), id, revoked)
	at := h.At.UTC().Truncate(time.Microsecond)
	if revoked.Credentials {
		if h.eras == nil {
			h.eras = make(map[domain.OrganizationID]era)
		}
		h.eras[id] = era{revoked.Era, at}
	}
	for i := range h.Agents {
		if h.Agents[i].OrganizationID == id {
			h.Agents[i] = h.eras[id].reach(h.Agents[i])
		}
	}
	for i := range h.Delegations {
		h.Delegations[i] = h.Delegations[i].Evolve(revoked, at)
	}
}

// era is that of an organization, and when it began.
type era struct {
	number int
	began  time.Time
}

// reach is an agent with its credentials as who knows of the era has them.
func (e era) reach(a domain.Agent) domain.Agent {
	a = a.InEra(e.number)
	for i := range a.Credentials {
		if c := &a.Credentials[i]; c.Status == domain.CredentialIsRevoked && c.RevokedAt.IsZero() {
			c.RevokedAt = e.began
			if c.CreatedAt.After(e.began) {
				c.RevokedAt = c.CreatedAt
			}
		}
	}
	return a
}

// partner applies facts to a federation partner, as recorded.
func (h *History) partner(i int, facts ...domain.Event) {
	for _, f := range facts {
		h.record(domain.PartnerStream(h.Partners[i].ID), h.Partners[i].OrganizationID, f)
		h.Partners[i] = h.Partners[i].Evolve(f, h.At.UTC().Truncate(time.Microsecond))
	}
}

func (h *History) partnerStep(pick func(int) int) {
	kind := rapid.IntRange(0, 5).Draw(h.T, "of a partner")
	if len(h.Partners) == 0 || kind == 0 {
		registered := PartnerRegistered(h.Organizations[pick(len(h.Organizations))])
		h.Partners = append(h.Partners, domain.Partner{ID: registered.PartnerID, OrganizationID: registered.OrganizationID})
		h.partner(len(h.Partners)-1, registered)
		return
	}
	i := pick(len(h.Partners))
	if !h.Partners[i].Exists() {
		return
	}
	id := h.Partners[i].ID
	switch kind {
	case 1:
		name, expiry := rapid.SampledFrom([]string{"n", "é"}).Draw(h.T, "name"), h.At.UTC().Truncate(time.Microsecond)
		allowed := rapid.SampledFrom([][]string{{}, {"a"}, {"a", "b c"}}).Draw(h.T, "allowed")
		h.partner(i, domain.PartnerUpdated{PartnerID: id, Name: &name, AllowedOrganizations: &allowed, ExpiresAt: &domain.Expiry{Time: &expiry}},
			domain.PartnerExpired{PartnerID: id, ExpiresAt: expiry})
	case 2:
		uri := "https://partner.example/" + id.String()
		h.partner(i, domain.PartnerUpdated{PartnerID: id, JWKSURI: &uri, ExpiresAt: &domain.Expiry{}})
	case 3:
		h.partner(i, domain.PartnerSuspended{PartnerID: id})
	case 4:
		h.partner(i, domain.PartnerReactivated{PartnerID: id})
	case 5:
		h.partner(i, domain.PartnerDeleted{PartnerID: id})
	}
}

func (h *History) organizationStep(kind int, pick func(int) int) {
	id := NewOrganizationID()
	if kind > 0 {
		id = h.Organizations[pick(len(h.Organizations))]
	}
	stream := domain.OrganizationStream(id)
	switch kind {
	case 0:
		h.record(stream, id, domain.OrganizationCreated{OrganizationID: id, Name: "n", Slug: id.String(), PlanTier: domain.TierFree})
		h.Organizations = append(h.Organizations, id)
	case 1:
		limit := rapid.IntRange(0, 9).Draw(h.T, "limit")
		h.record(stream, id, domain.OrganizationUpdated{OrganizationID: id, MaxAgents: &domain.Override{Limit: &limit}},
			domain.TierChanged{OrganizationID: id, From: domain.TierFree, To: domain.TierPro})
	case 2:
		h.record(stream, id, domain.OrganizationSuspended{OrganizationID: id}, domain.OrganizationReactivated{OrganizationID: id})
	case 3:
		h.record(stream, id, domain.MemberAdded{OrganizationID: id, AgentID: NewAgentID(), Role: domain.RoleAdmin})
	case 4:
		agent := NewAgentID()
		h.record(domain.SeatsStream(id), id, domain.SeatTaken{OrganizationID: id, AgentID: agent})
		h.Agents = append(h.Agents, domain.Agent{ID: agent, OrganizationID: id})
		h.agent(len(h.Agents)-1, Created(agent, id))
	}
}
