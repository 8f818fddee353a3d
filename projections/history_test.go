package projections_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/ledger/ledgertest"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// history is one that the read models are compared with.
type history struct{ *ledgertest.History }

func TestRebuildEqualsLive(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(rt *rapid.T) {
		all := readmodels.All()
		progress := projections.NewProgress(w.pool, w.store, all, projections.ProgressOptions{})
		stop := run(t, projections.NewRunner(w.pool, w.store, all, projections.RunnerOptions{Progress: progress}))
		h := &history{&ledgertest.History{TB: t, T: rt, Store: w.store, At: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}}
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			h.Step()
		}
		stopProgress := run(t, progress)
		waitAll(t, progress, h.Head)
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
		waitAll(t, progress, h.Head)
		stop()
		stopProgress()
		if diff := cmp.Diff(live, w.dump(t)); diff != "" {
			rt.Fatalf("derived by the runner anew (-live +anew):\n%s", diff)
		}
	})
}

// check compares the read models with the aggregates.
func (h *history) check(w *world) {
	for _, want := range h.Delegations {
		got, err := w.queries.Delegation(h.TB.Context(), readmodels.InOrganization(want.OrganizationID), want.ID, h.At)
		if err != nil {
			h.T.Fatalf("delegation %s: %v", want.ID, err)
		}
		if diff := cmp.Diff(want, got.Delegation); diff != "" {
			h.T.Fatalf("delegation (-aggregate +read model):\n%s", diff)
		}
	}
	for _, want := range h.Partners {
		got, err := w.queries.Partner(h.TB.Context(), readmodels.AllOrganizations, want.ID)
		if want.Exists() && err != nil || !want.Exists() && !errors.Is(err, readmodels.ErrNotFound) {
			h.T.Fatalf("partner %s: %v", want.ID, err)
		}
		if diff := cmp.Diff(want, got); want.Exists() && diff != "" {
			h.T.Fatalf("partner (-aggregate +read model):\n%s", diff)
		}
	}
	for _, want := range h.Agents {
		tenant := readmodels.InOrganization(want.OrganizationID)
		got, err := w.queries.Agent(h.TB.Context(), tenant, want.ID)
		if err != nil {
			h.T.Fatalf("agent %s: %v", want.ID, err)
		}
		if diff := cmp.Diff(want, domain.Agent{
			ID: got.ID, OrganizationID: got.OrganizationID, Email: got.Email, Profile: got.Profile, Scopes: got.Scopes,
			Status: got.Status, DID: got.DID, Edition: got.Edition, CreatedAt: got.CreatedAt, UpdatedAt: got.UpdatedAt,
			LastAuthAt: got.LastAuthAt, Credentials: want.Credentials, Era: want.Era, Keys: want.Keys,
		}); diff != "" {
			h.T.Fatalf("agent (-aggregate +read model):\n%s", diff)
		}
		if !got.Keys.CreatedAt.Equal(want.Keys.CreatedAt) {
			h.T.Fatalf("agent %s: its DID was created at %s, shown is %s", want.ID, want.Keys.CreatedAt, got.Keys.CreatedAt)
		}
		h.checkKeys(w, want)
		list, err := w.queries.Credentials(h.TB.Context(), tenant, readmodels.CredentialFilter{AgentID: want.ID, Page: readmodels.Page{Limit: 100}})
		if err != nil || list.Total != len(want.Credentials) {
			h.T.Fatalf("credentials of %s: %d, %v; want %d", want.ID, list.Total, err, len(want.Credentials))
		}
		for i, got := range list.Items { // newest first
			want := want.Credentials[len(want.Credentials)-1-i]
			want.Verifier = domain.Verifier{}
			if diff := cmp.Diff(want, domain.Credential{ID: got.ID, Kind: got.Kind, Status: got.Status, PublicKey: got.PublicKey,
				CreatedAt: got.CreatedAt, RotatedAt: got.RotatedAt, RevokedAt: got.RevokedAt, ExpiresAt: got.ExpiresAt, Era: want.Era}); diff != "" {
				h.T.Fatalf("credential (-aggregate +read model):\n%s", diff)
			}
		}
	}
}

// checkKeys compares the keys of an agent's DID. Histories may go on after an agent
// was decommissioned, which nothing else does: then none of its keys holds.
func (h *history) checkKeys(w *world, want domain.Agent) {
	identity, err := w.queries.Identity(h.TB.Context(), want.ID)
	if err != nil {
		h.T.Fatalf("identity of %s: %v", want.ID, err)
	}
	if want.Keys.Exist() && want.Keys.Current.Number == 0 {
		if identity.Status == domain.AgentIsGone && identity.Keys.Current.Number != 0 {
			h.T.Fatalf("agent %s is gone, and its key %d holds", want.ID, identity.Keys.Current.Number)
		}
		return
	}
	if diff := cmp.Diff(want.Keys, identity.Keys); diff != "" {
		h.T.Fatalf("keys of the DID (-aggregate +read model):\n%s", diff)
	}
}

func TestApplyTwiceEqualsApplyOnce(t *testing.T) {
	w := newWorld(t)
	progress := w.follow(t)
	rapid.Check(t, func(rt *rapid.T) {
		h := &history{&ledgertest.History{TB: t, T: rt, Store: w.store, At: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}}
		from, err := w.store.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			h.Step()
		}
		waitAll(t, progress, h.Head)
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
