package projections_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// history makes things happen at random, in an order that can happen.
type history struct {
	tb            testing.TB
	t             *rapid.T
	store         eventstore.Store
	at            time.Time
	head          eventstore.Position
	organizations []domain.OrganizationID
	agents        []domain.Agent
	delegations   []domain.Delegation
	issuances     []uuid.UUID // of tokens, by the ids of their events
}

func (h *history) record(stream string, organization domain.OrganizationID, facts ...domain.Event) {
	var drafts []eventstore.Draft
	for _, f := range facts {
		h.at = h.at.Add(time.Duration(rapid.IntRange(0, 40).Draw(h.t, "hours")) * time.Hour)
		d := draft(h.tb, organization, h.at, f)
		if n := len(h.issuances); n > 0 && rapid.Bool().Draw(h.t, "with a token") {
			d.Causation = h.issuances[rapid.IntRange(0, n-1).Draw(h.t, "which token")]
		}
		if _, issues := f.(domain.TokenIssued); issues {
			h.issuances = append(h.issuances, d.ID)
		}
		drafts = append(drafts, d)
	}
	appended, err := h.store.Append(h.tb.Context(), stream, eventstore.Any(), drafts...)
	if err != nil {
		h.tb.Fatal(err)
	}
	h.head = appended.Position()
}

// agent applies facts to an agent, as recorded.
func (h *history) agent(i int, facts ...domain.Event) {
	for _, f := range facts {
		h.record(domain.AgentStream(h.agents[i].ID), h.agents[i].OrganizationID, f)
		at := h.at.UTC().Truncate(time.Microsecond)
		h.agents[i] = h.agents[i].Evolve(f, at)
		for j := range h.delegations {
			if !domain.EndedWith(f).IsZero() {
				h.delegations[j] = h.delegations[j].Evolve(f, at)
			}
		}
	}
}

// delegation applies facts to a delegation, as recorded.
func (h *history) delegation(i int, facts ...domain.Event) {
	for _, f := range facts {
		h.record(domain.DelegationStream(h.delegations[i].ID), h.delegations[i].OrganizationID, f)
		h.delegations[i] = h.delegations[i].Evolve(f, h.at.UTC().Truncate(time.Microsecond))
	}
}

func (h *history) step() {
	kind := rapid.IntRange(0, 15).Draw(h.t, "kind")
	if len(h.organizations) == 0 {
		kind = 0
	} else if len(h.agents) == 0 && kind > 4 {
		kind = 4
	}
	pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(h.t, "which") }
	if kind <= 4 {
		h.organizationStep(kind, pick)
		return
	}
	i := pick(len(h.agents))
	id := h.agents[i].ID
	switch kind {
	case 5:
		owner, reduced := rapid.SampledFrom([]string{"ops", "a b", "é"}).Draw(h.t, "owner"), rapid.Bool().Draw(h.t, "reduced")
		capabilities := rapid.SampledFrom([][]string{{}, {"a:b"}, {"a:b", "c:d"}}).Draw(h.t, "capabilities")
		scopes := domain.NewScopes(domain.ScopeAuditRead)
		h.agent(i, domain.AgentUpdated{AgentID: id, Owner: &owner, Capabilities: &capabilities, Scopes: &scopes, ScopesReduced: reduced})
	case 6:
		h.agent(i, domain.AgentSuspended{AgentID: id})
	case 7:
		h.agent(i, domain.AgentReactivated{AgentID: id})
	case 8:
		h.agent(i, domain.AgentDecommissioned{AgentID: id})
	case 9:
		expiry := h.at.Add(time.Hour).UTC()
		h.agent(i, domain.CredentialGenerated{AgentID: id, CredentialID: newCredentialID(), Kind: domain.SecretCredential,
			Verifier: &domain.Verifier{KeyID: "k", MAC: []byte("not to be seen")}, ExpiresAt: &expiry})
	case 10, 11:
		if n := len(h.agents[i].Credentials); n > 0 && kind == 10 {
			h.agent(i, domain.CredentialRotated{AgentID: id, CredentialID: h.agents[i].Credentials[pick(n)].ID,
				DelegationsKept: rapid.Bool().Draw(h.t, "kept")})
		} else if n > 0 && rapid.Bool().Draw(h.t, "expired") {
			h.agent(i, domain.CredentialExpired{AgentID: id, CredentialID: h.agents[i].Credentials[pick(n)].ID, ExpiredAt: h.at.UTC()})
		} else if n > 0 {
			h.agent(i, domain.CredentialRevoked{AgentID: id, CredentialID: h.agents[i].Credentials[pick(n)].ID})
		}
	case 12:
		h.agent(i, issued(id, newCredentialID()), issued(id, newCredentialID()))
	case 13:
		h.record(domain.SecurityStream("2026-01-01"), h.agents[i].OrganizationID,
			domain.AuthFailed{ClientID: rapid.SampledFrom([]string{id.String(), "x"}).Draw(h.t, "client"), Reason: domain.AuthWrongSecret})
	case 14:
		link := delegated(h.agents[i].OrganizationID, id, h.agents[pick(len(h.agents))].ID)
		if n := len(h.delegations); n > 0 && h.delegations[n-1].OrganizationID == link.OrganizationID {
			link.ParentID, link.Depth = &h.delegations[n-1].ID, 1
		}
		if n := len(h.agents[i].Credentials); n > 0 && rapid.Bool().Draw(h.t, "with a credential") {
			link.CredentialID = &h.agents[i].Credentials[pick(n)].ID
		}
		h.delegations = append(h.delegations, domain.Delegation{ID: link.DelegationID, OrganizationID: link.OrganizationID})
		h.delegation(len(h.delegations)-1, link)
	case 15:
		if n := len(h.delegations); n > 0 {
			which := pick(n)
			d := h.delegations[which]
			exchanged := issued(d.DelegateeID, newCredentialID())
			exchanged.Delegation, exchanged.Subject = &d.ID, &d.DelegatorID
			h.delegation(which, exchanged, domain.DelegationRevoked{DelegationID: d.ID, DelegatorID: d.DelegatorID, RevokedBy: id})
		}
	}
}

func (h *history) organizationStep(kind int, pick func(int) int) {
	id := newOrganizationID()
	if kind > 0 {
		id = h.organizations[pick(len(h.organizations))]
	}
	stream := domain.OrganizationStream(id)
	switch kind {
	case 0:
		h.record(stream, id, domain.OrganizationCreated{OrganizationID: id, Name: "n", Slug: id.String(), PlanTier: domain.TierFree})
		h.organizations = append(h.organizations, id)
	case 1:
		limit := rapid.IntRange(0, 9).Draw(h.t, "limit")
		h.record(stream, id, domain.OrganizationUpdated{OrganizationID: id, MaxAgents: &domain.Override{Limit: &limit}},
			domain.TierChanged{OrganizationID: id, From: domain.TierFree, To: domain.TierPro})
	case 2:
		h.record(stream, id, domain.OrganizationSuspended{OrganizationID: id}, domain.OrganizationReactivated{OrganizationID: id})
	case 3:
		h.record(stream, id, domain.MemberAdded{OrganizationID: id, AgentID: newAgentID(), Role: domain.RoleAdmin})
	case 4:
		agent := newAgentID()
		h.record(domain.SeatsStream(id), id, domain.SeatTaken{OrganizationID: id, AgentID: agent})
		h.agents = append(h.agents, domain.Agent{ID: agent, OrganizationID: id})
		h.agent(len(h.agents)-1, created(agent, id))
	}
}

func TestRebuildEqualsLive(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(rt *rapid.T) {
		all := readmodels.All()
		progress := projections.NewProgress(w.pool, w.store, all, projections.ProgressOptions{})
		stop := run(t, projections.NewRunner(w.pool, w.store, all, projections.RunnerOptions{Progress: progress}))
		h := &history{tb: t, t: rt, store: w.store, at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			h.step()
		}
		stopProgress := run(t, progress)
		waitAll(t, progress, h.head)
		stop()
		stopProgress()
		live := w.dump(t)
		h.check(w)

		w.mustVerify(t, all...)
		w.rebuild(t, projections.RebuildOptions{}, all...)
		if diff := cmp.Diff(live, w.dump(t)); diff != "" {
			rt.Fatalf("rebuilt in bulk (-live +rebuilt):\n%s", diff)
		}

		w.empty(t)
		progress = projections.NewProgress(w.pool, w.store, all, projections.ProgressOptions{})
		stop = run(t, projections.NewRunner(w.pool, w.store, all, projections.RunnerOptions{Progress: progress}))
		stopProgress = run(t, progress)
		waitAll(t, progress, h.head)
		stop()
		stopProgress()
		if diff := cmp.Diff(live, w.dump(t)); diff != "" {
			rt.Fatalf("derived by the runner anew (-live +anew):\n%s", diff)
		}
	})
}

// check compares the read models with the aggregates.
func (h *history) check(w *world) {
	for _, want := range h.delegations {
		got, err := w.queries.Delegation(h.tb.Context(), readmodels.InOrganization(want.OrganizationID), want.ID, h.at)
		if err != nil {
			h.t.Fatalf("delegation %s: %v", want.ID, err)
		}
		if diff := cmp.Diff(want, got.Delegation); diff != "" {
			h.t.Fatalf("delegation (-aggregate +read model):\n%s", diff)
		}
	}
	for _, want := range h.agents {
		tenant := readmodels.InOrganization(want.OrganizationID)
		got, err := w.queries.Agent(h.tb.Context(), tenant, want.ID)
		if err != nil {
			h.t.Fatalf("agent %s: %v", want.ID, err)
		}
		if diff := cmp.Diff(want, domain.Agent{
			ID: got.ID, OrganizationID: got.OrganizationID, Email: got.Email, Profile: got.Profile, Scopes: got.Scopes,
			Status: got.Status, DID: got.DID, Edition: got.Edition, CreatedAt: got.CreatedAt, UpdatedAt: got.UpdatedAt,
			LastAuthAt: got.LastAuthAt, Credentials: want.Credentials,
		}); diff != "" {
			h.t.Fatalf("agent (-aggregate +read model):\n%s", diff)
		}
		list, err := w.queries.Credentials(h.tb.Context(), tenant, readmodels.CredentialFilter{AgentID: want.ID, Page: readmodels.Page{Limit: 100}})
		if err != nil || list.Total != len(want.Credentials) {
			h.t.Fatalf("credentials of %s: %d, %v; want %d", want.ID, list.Total, err, len(want.Credentials))
		}
		for i, got := range list.Items { // newest first
			want := want.Credentials[len(want.Credentials)-1-i]
			want.Verifier = domain.Verifier{}
			if diff := cmp.Diff(want, domain.Credential{ID: got.ID, Kind: got.Kind, Status: got.Status, PublicKey: got.PublicKey,
				CreatedAt: got.CreatedAt, RotatedAt: got.RotatedAt, RevokedAt: got.RevokedAt, ExpiresAt: got.ExpiresAt}); diff != "" {
				h.t.Fatalf("credential (-aggregate +read model):\n%s", diff)
			}
		}
	}
}

func TestApplyTwiceEqualsApplyOnce(t *testing.T) {
	w := newWorld(t)
	progress := w.follow(t)
	rapid.Check(t, func(rt *rapid.T) {
		h := &history{tb: t, t: rt, store: w.store, at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
		from, err := w.store.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			h.step()
		}
		waitAll(t, progress, h.head)
		once := w.dump(t)
		for _, p := range readmodels.All() {
			var events []follow.Event
			for e, err := range w.store.ReadAll(t.Context(), from, eventstore.Filter{}) {
				if err != nil {
					t.Fatal(err)
				}
				decoded := mustDecode(t, e)
				if p.Wants(domain.Type(e.Type)) {
					events = append(events, decoded)
				}
			}
			if len(events) == 0 {
				continue
			}
			err := pgx.BeginFunc(t.Context(), w.admin, func(tx pgx.Tx) error { return p.Apply(t.Context(), tx, events) })
			if err != nil {
				rt.Fatalf("apply to %s again: %v", p.Name, err)
			}
		}
		if diff := cmp.Diff(once, w.dump(t)); diff != "" {
			rt.Fatalf("applied twice (-once +twice):\n%s", diff)
		}
	})
}

func mustDecode(t testing.TB, e eventstore.Event) follow.Event {
	t.Helper()
	r, err := e.Decode()
	if err != nil {
		t.Fatal(err)
	}
	fact, err := domain.Decode(domain.Type(r.Type), r.Schema, r.Data)
	if err != nil {
		t.Fatal(err)
	}
	return follow.Event{Record: r, Position: e.Position, Hash: e.Hash, Fact: fact}
}
