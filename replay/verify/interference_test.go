package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/esdb/model"
	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
	"github.com/sentryagent/agentidp/eventstore/storetest"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay/verify"
)

// keptLog is the log of a ledger as it was at one time.
type keptLog struct {
	entries []eventstore.Hash
	tree    transparency.Tree
	at      eventstore.Position
}

func keepLog(t *testing.T, store eventstore.Store) *keptLog {
	t.Helper()
	l := &keptLog{}
	for e, err := range store.ReadAll(t.Context(), 0, eventstore.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		l.entries, l.at = append(l.entries, e.Hash), e.Position
		l.tree.Append(e.Hash)
	}
	return l
}

func (l *keptLog) State(context.Context, uuid.UUID) (transparency.State, error) {
	return transparency.State{Tree: l.tree.Clone(), Position: l.at}, nil
}

func (l *keptLog) Entries(_ context.Context, _ uuid.UUID, from, to int64) iter.Seq2[eventstore.Hash, error] {
	return func(yield func(eventstore.Hash, error) bool) {
		for _, entry := range l.entries[from:to] {
			if !yield(entry, nil) {
				return
			}
		}
	}
}

func (l *keptLog) Root(context.Context, uuid.UUID, int64) (tlog.Hash, error) {
	return l.tree.Root(), nil
}

func (l *keptLog) Checkpoints(context.Context, uuid.UUID) ([]transparency.Signed, error) {
	return nil, nil
}

func (l *keptLog) against() []verify.Checkpoint {
	return []verify.Checkpoint{{Size: l.tree.Size(), Root: l.tree.Root(), SignedAt: time.Now()}}
}

// deed is something that an operator does to a stream on the server.
type deed struct {
	do     func(t *testing.T, n *model.Node, stream string)
	kind   verify.Kind // before a scavenge
	after  verify.Kind // and after it; "": as before
	undone bool        // empty metadata undo it
	goesOn bool        // the ledger is written to afterwards
	stream string      // it is done to, of which the ledger has no event; "": one with events
}

func foreign(t *testing.T, n *model.Node, stream string) {
	t.Helper()
	event := model.Proposed{ID: model.ID(uuid.New()), Type: "note", ContentType: "application/json", Data: []byte(`{}`)}
	if _, err := n.Append(t.Context(), true, stream, model.ExpectAny, []model.Proposed{event}); err != nil {
		t.Fatal(err)
	}
}

// copyOfNewest writes the newest event of the ledger in a stream once more, so that
// what is not the ledger's stands between events that look as if they were.
func copyOfNewest(t *testing.T, n *model.Node, stream string) {
	t.Helper()
	page, _, err := n.ReadStream(t.Context(), true, stream, 3, true, 1)
	if err != nil || len(page) == 0 {
		t.Fatal(err, len(page))
	}
	event := model.Proposed{ID: model.ID(uuid.New()), Type: page[0].Type, ContentType: "application/json", Data: page[0].Data, Metadata: page[0].Metadata}
	if _, err := n.Append(t.Context(), true, stream, model.ExpectAny, []model.Proposed{event}); err != nil {
		t.Fatal(err)
	}
}

func settings(m model.Metadata) func(*testing.T, *model.Node, string) {
	return func(t *testing.T, n *model.Node, stream string) {
		t.Helper()
		if _, err := n.SetMetadata(t.Context(), true, stream, model.ID(uuid.New()), m); err != nil {
			t.Fatal(err)
		}
	}
}

func softDelete(t *testing.T, n *model.Node, stream string) {
	t.Helper()
	if _, err := n.Delete(t.Context(), true, stream, model.ExpectAny); err != nil {
		t.Fatal(err)
	}
}

var deeds = map[string]deed{
	"foreign event, last": {do: foreign, kind: verify.ForeignEvent},
	"foreign event, in the middle": {do: func(t *testing.T, n *model.Node, stream string) {
		foreign(t, n, stream)
		foreign(t, n, "orders-1")
	}, kind: verify.ForeignEvent, goesOn: true},
	"foreign event, and a forged one behind it": {do: func(t *testing.T, n *model.Node, stream string) { foreign(t, n, stream); copyOfNewest(t, n, stream) }, kind: verify.AlteredEvent},
	"foreign event, first":                      {do: foreign, kind: verify.ForeignEvent, stream: domain.AgentStream(domain.AgentID{UUID: uuid.Must(uuid.NewV7())})},
	"foreign event, in a claim":                 {do: foreign, kind: verify.ForeignEvent, stream: domain.ClaimStream(domain.ClaimSlug, "acme")},
	"soft delete of a claim":                    {do: func(t *testing.T, n *model.Node, stream string) { softDelete(t, n, stream) }, kind: verify.HiddenEvents, stream: domain.ClaimStream(domain.ClaimSlug, "acme"), after: verify.HiddenEvents},
	"$tb":                                       {do: settings(model.Metadata{TruncateBefore: new(int64(2))}), kind: verify.HiddenEvents, after: verify.RemovedEvent, undone: true},
	"$maxCount":                                 {do: settings(model.Metadata{MaxCount: new(int64(1))}), kind: verify.HiddenEvents, after: verify.RemovedEvent, undone: true},
	"$maxAge":                                   {do: settings(model.Metadata{MaxAge: new(int64(0))}), kind: verify.HiddenEvents, after: verify.RemovedEvent, undone: true},
	"$acl":                                      {do: settings(model.Metadata{ACL: json.RawMessage(`{"$w":"$admins"}`)}), kind: verify.HiddenEvents, undone: true},
	"soft delete":                               {do: softDelete, kind: verify.HiddenEvents, after: verify.RemovedEvent, undone: true},
	"soft delete, written again":                {do: func(t *testing.T, n *model.Node, stream string) { softDelete(t, n, stream); foreign(t, n, stream) }, kind: verify.ForeignEvent, after: verify.RemovedStream},
	"foreign event and soft delete":             {do: func(t *testing.T, n *model.Node, stream string) { foreign(t, n, stream); softDelete(t, n, stream) }, kind: verify.ForeignEvent, after: verify.RemovedStream},
	"tombstone": {do: func(t *testing.T, n *model.Node, stream string) {
		if _, err := n.Tombstone(t.Context(), true, stream, model.ExpectAny); err != nil {
			t.Fatal(err)
		}
	}, kind: verify.DeletedStream, after: verify.RemovedStream},
}

// What is done to a stream by the server's own means is named while it can be
// undone, with the stream and the deed's own event, and what is gone after a
// scavenge is named as that. Streams of others and the server's own are nobody's
// business.
func TestWhatAnOperatorDoesToAStreamIsNamed(t *testing.T) {
	t.Parallel()
	for name, d := range deeds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := wiretest.Start(t, 1)
			store := another(t, cluster)
			victim := domain.AgentStream(domain.AgentID{UUID: uuid.Must(uuid.NewV7())})
			fillAround(t, store, victim, cluster)
			if d.stream != "" {
				victim = d.stream
			}
			log := keepLog(t, store)
			looking := verify.New(store, verify.Options{Logs: log, Against: log.against()})
			if report, err := looking.Verify(t.Context(), verify.Scope{}); err != nil || report.Break != nil {
				t.Fatalf("before: %v, %v", report.Break, err)
			}
			d.do(t, cluster.Model().Leader(), victim)
			if d.goesOn {
				if _, err := store.Append(t.Context(), victim, eventstore.Any(), storetest.NewDraft("agent.updated")); !errors.As(err, new(*eventstore.InterferedError)) {
					t.Errorf("an append behind it: %v", err)
				}
				if _, err := store.Append(t.Context(), domain.AgentStream(domain.AgentID{UUID: uuid.Must(uuid.NewV7())}), eventstore.NoStream(), storetest.NewDraft("agent.updated")); err != nil {
					t.Error(err)
				}
			}
			for what, s := range map[string]eventstore.Store{"goes on": store, "begins": another(t, cluster)} {
				v := verify.New(s, verify.Options{Logs: log, Against: log.against()})
				named(t, what+", before a scavenge", v, d.kind, victim, true)
			}
			if d.undone {
				for range 2 { // after a soft delete the first makes the server truncate the stream
					settings(model.Metadata{})(t, cluster.Model().Leader(), victim)
				}
				if report, err := looking.Verify(t.Context(), verify.Scope{}); err != nil || report.Break != nil {
					t.Errorf("undone: %v, %v", report.Break, err)
				}
				d.do(t, cluster.Model().Leader(), victim)
			}
			cluster.Model().Scavenge()
			if d.after == "" {
				named(t, "after a scavenge", looking, d.kind, victim, true)
				return
			}
			named(t, "after a scavenge", verify.New(another(t, cluster), verify.Options{Logs: log, Against: log.against()}), d.after, victim, false)
		})
	}
}

// fillAround writes a ledger with a victim in its midst, beside others' streams with all
// that would be a finding in one of the ledger's.
func fillAround(t *testing.T, store eventstore.Store, victim string, cluster *wiretest.Cluster) {
	t.Helper()
	write := func(stream string, n int) {
		for range n {
			draft := storetest.NewDraft("agent.updated")
			if _, err := store.Append(t.Context(), stream, eventstore.Any(), draft); err != nil {
				t.Fatal(err)
			}
		}
	}
	bystander := domain.AgentStream(domain.AgentID{UUID: uuid.Must(uuid.NewV7())})
	write(bystander, 2)
	write(victim, 2)
	others := cluster.Model().Leader()
	foreign(t, others, "orders-1")
	softDelete(t, others, "orders-1")
	settings(model.Metadata{MaxCount: new(int64(3))})(t, others, "agent-smith")
	write(victim, 2)
	write(bystander, 2)
}

// another opens one more store on a cluster, which has looked at nothing yet.
func another(t *testing.T, cluster *wiretest.Cluster) eventstore.Store {
	t.Helper()
	store, err := esdb.New(cluster.URL(), esdb.Options{Streams: domain.IsStream})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

func named(t *testing.T, when string, v *verify.Verifier, kind verify.Kind, stream string, deed bool) {
	t.Helper()
	report, err := v.Verify(t.Context(), verify.Scope{})
	found := report.Break
	if err != nil || found == nil || found.Kind != kind {
		t.Errorf("%s: %v, %v, want %s", when, found, err, kind)
		return
	}
	if deed && (found.Stream != stream || found.EventID == uuid.Nil || found.Position == 0 || found.Detail == "" || found.Revision < 0) {
		t.Errorf("%s: %+v does not name the stream and the event", when, found)
	}
	if report.Break.Error() == "" {
		t.Error("nothing is said")
	}
}
