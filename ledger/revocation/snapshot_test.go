package revocation_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/ledger/ledgertest"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// index is a fresh index that logs.
type index struct {
	*revocation.Index
	log bytes.Buffer
}

func (w *world) index(store eventstore.Store, sealer revocation.Sealer) *index {
	var x index
	var options revocation.Options
	if sealer != nil {
		options.Snapshots = revocation.NewSnapshots(w.pool, sealer, slog.New(slog.NewTextHandler(&x.log, nil)))
	}
	x.Index = revocation.New(store, options)
	return &x
}

func newMasterKey(t testing.TB) *keyring.MasterKey {
	t.Helper()
	key, err := keyring.LoadOrCreateMasterKey(filepath.Join(t.TempDir(), "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// knows is what an index says of everything in a history.
func (x *index) knows(h *ledgertest.History, positions ...eventstore.Position) map[string]any {
	all := map[string]any{"size": x.Size(), "position": x.Position()}
	for _, organization := range h.Organizations {
		standing, found := x.Latest().Standing(organization)
		all[organization.String()] = []any{standing, found, x.Latest().OrganizationActive(organization)}
	}
	for _, agent := range h.Agents {
		for _, credential := range append(agent.Credentials, domain.Credential{}) {
			for _, position := range positions {
				verdict := x.Latest().Check(revocation.Token{
					AgentID: agent.ID, CredentialID: credential.ID, OrganizationID: agent.OrganizationID,
					ExpiresAt: time.Now().Add(time.Hour), Position: position, Basis: position,
				})
				all[fmt.Sprint(agent.ID, credential.ID, position)] = verdict
			}
		}
	}
	for _, d := range h.Delegations {
		all[d.ID.String()] = x.Latest().CheckDelegation(d.ID, h.Head)
	}
	return all
}

// reads counts the events that are read from the whole ledger.
type reads struct {
	eventstore.Store
	events int
}

func (s *reads) ReadAll(ctx context.Context, after eventstore.Position, f eventstore.Filter) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		for e, err := range s.Store.ReadAll(ctx, after, f) {
			s.events++
			if !yield(e, err) {
				return
			}
		}
	}
}

// An index that begins with a snapshot knows what one knows that has read the
// whole ledger, and has read what came since.
func TestIndexRestoredFromItsSnapshotEqualsOneReadFromTheLedger(t *testing.T) {
	w, key := newWorld(t), newMasterKey(t)
	rapid.Check(t, func(rt *rapid.T) {
		h := &ledgertest.History{TB: t, T: rt, Store: w.store, At: time.Now()}
		steps := func(name string) {
			for range rapid.IntRange(1, 25).Draw(rt, name) {
				h.Step()
			}
		}
		steps("before")
		first := w.index(w.store, key)
		if _, err := first.Sync(t.Context()); err != nil {
			rt.Fatal(err)
		}
		if err := first.SaveSnapshot(t.Context(), 0); err != nil {
			rt.Fatal(err)
		}
		saved := h.Head
		steps("after")
		counted := &reads{Store: w.store}
		restored, whole := w.index(counted, key), w.index(w.store, nil)
		for _, x := range []*index{restored, whole} {
			if _, err := x.Sync(t.Context()); err != nil {
				rt.Fatal(err)
			}
		}
		if diff := cmp.Diff(whole.knows(h, saved-3, saved, h.Head-1, h.Head), restored.knows(h, saved-3, saved, h.Head-1, h.Head)); diff != "" {
			rt.Errorf("-read +restored:\n%s", diff)
		}
		if counted.events > int(h.Head-saved) {
			rt.Errorf("%d events were read, %d came after the snapshot", counted.events, h.Head-saved)
		}
	})
}

func TestSnapshotThatDoesNotCountIsLeftAlone(t *testing.T) {
	w, key := newWorld(t), newMasterKey(t)
	gone := domain.AgentDecommissioned{AgentID: newAgentID()}
	record(t, w.store, domain.AgentStream(gone.AgentID), newOrganizationID(), created(gone.AgentID, newOrganizationID()), gone)
	first := w.index(w.store, key)
	if _, err := first.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := first.SaveSnapshot(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	other := memory.New()
	record(t, other, newStream(), newOrganizationID(), gone)
	check := func(name string, store eventstore.Store, sealer revocation.Sealer, why string) {
		t.Helper()
		x := w.index(store, sealer)
		if _, err := x.Sync(t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		ref := revocation.Token{AgentID: gone.AgentID, ExpiresAt: time.Now().Add(time.Hour)}
		if got := x.Latest().Check(ref); got != revocation.AgentInactive || !strings.Contains(x.log.String(), why) {
			t.Errorf("%s: %q, want the ledger read and a log of %q:\n%s", name, got, why, x.log.String())
		}
	}
	check("its own", w.store, key, "restored from their snapshot")
	check("another key", w.store, newMasterKey(t), "another master key")
	check("another ledger", other, key, "the ledger ends at position")
	if _, err := w.admin.Exec(t.Context(), `UPDATE revocation_snapshot SET sealed = set_byte(sealed, 60, get_byte(sealed, 60) # 1)`); err != nil {
		t.Fatal(err)
	}
	check("altered", w.store, key, "does not open")
}
