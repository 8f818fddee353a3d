package projections_test

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
	"github.com/sentryagent/agentidp/projections"
)

// index is a fresh index of revocations with a directory that rides along.
type index struct {
	*projections.Revocations
	directory *projections.Directory
	log       bytes.Buffer
}

func (w *world) index(store eventstore.Store, sealer projections.Sealer) *index {
	x := &index{directory: projections.NewDirectory()}
	options := projections.RevocationsOptions{Also: []projections.Fold{x.directory.Fold()}}
	if sealer != nil {
		options.Snapshots = projections.NewRevocationSnapshots(w.pool, w.queries, sealer, slog.New(slog.NewTextHandler(&x.log, nil)))
	}
	x.Revocations = projections.NewRevocations(store, options)
	return x
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
func (x *index) knows(h *history, positions ...eventstore.Position) map[string]any {
	all := map[string]any{"size": x.Size(), "organizations": x.directory.Size(), "position": x.Position()}
	for _, organization := range h.organizations {
		standing, found := x.directory.Standing(organization)
		all[organization.String()] = []any{standing, found, x.OrganizationActive(organization)}
	}
	for _, agent := range h.agents {
		for _, credential := range append(agent.Credentials, domain.Credential{}) {
			for _, position := range positions {
				verdict := x.Check(projections.TokenRef{
					AgentID: agent.ID, CredentialID: credential.ID, OrganizationID: agent.OrganizationID,
					ExpiresAt: time.Now().Add(time.Hour), Position: position, Basis: position,
				})
				all[fmt.Sprint(agent.ID, credential.ID, position)] = verdict
			}
		}
	}
	for _, d := range h.delegations {
		all[d.ID.String()] = x.CheckDelegation(d.ID, h.head)
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
	progress := w.follow(t)
	rapid.Check(t, func(rt *rapid.T) {
		h := &history{tb: t, t: rt, store: w.store, at: time.Now()}
		steps := func(name string) {
			for range rapid.IntRange(1, 25).Draw(rt, name) {
				h.step()
			}
		}
		steps("before")
		first := w.index(w.store, key)
		if err := first.Sync(t.Context()); err != nil {
			rt.Fatal(err)
		}
		waitAll(t, progress, h.head)
		if err := first.SaveSnapshot(t.Context(), 0); err != nil {
			rt.Fatal(err)
		}
		saved := h.head
		steps("after")
		counted := &reads{Store: w.store}
		restored, whole := w.index(counted, key), w.index(w.store, nil)
		for _, x := range []*index{restored, whole} {
			if err := x.Sync(t.Context()); err != nil {
				rt.Fatal(err)
			}
		}
		if diff := cmp.Diff(whole.knows(h, saved-3, saved, h.head-1, h.head), restored.knows(h, saved-3, saved, h.head-1, h.head)); diff != "" {
			rt.Errorf("-read +restored:\n%s", diff)
		}
		if counted.events > int(h.head-saved) {
			rt.Errorf("%d events were read, %d came after the snapshot", counted.events, h.head-saved)
		}
	})
}

func TestSnapshotThatDoesNotCountIsLeftAlone(t *testing.T) {
	w, key := newWorld(t), newMasterKey(t)
	gone := domain.AgentDecommissioned{AgentID: newAgentID()}
	waitAll(t, w.follow(t), record(t, w.store, domain.AgentStream(gone.AgentID), newOrganizationID(), created(gone.AgentID, newOrganizationID()), gone))
	first := w.index(w.store, key)
	if err := first.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := first.SaveSnapshot(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	other := memory.New()
	record(t, other, newStream(), newOrganizationID(), gone)
	check := func(name string, store eventstore.Store, sealer projections.Sealer, why string) {
		t.Helper()
		x := w.index(store, sealer)
		if err := x.Sync(t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		ref := projections.TokenRef{AgentID: gone.AgentID, ExpiresAt: time.Now().Add(time.Hour)}
		if got := x.Check(ref); got != projections.AgentInactive || !strings.Contains(x.log.String(), why) {
			t.Errorf("%s: %q, want the ledger read and a log of %q:\n%s", name, got, why, x.log.String())
		}
	}
	check("its own", w.store, key, "restored from their snapshot")
	check("another key", w.store, newMasterKey(t), "another master key")
	check("another ledger", other, key, "the ledger ends at position")
	w.exec(t, `UPDATE revocation_snapshot SET sealed = set_byte(sealed, 60, get_byte(sealed, 60) # 1)`)
	check("altered", w.store, key, "does not open")
}
