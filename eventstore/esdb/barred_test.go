package esdb_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/esdb/model"
	"github.com/sentryagent/agentidp/eventstore/esdb/modelwire"
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
	"github.com/sentryagent/agentidp/eventstore/storetest"
)

// operator does to streams what the server's own means allow.
type operator struct {
	t *testing.T
	*model.Cluster
}

func (o operator) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o operator) softDelete(stream string) {
	o.t.Helper()
	_, err := o.Leader().Delete(o.t.Context(), true, stream, model.ExpectAny)
	o.must(err)
}

func (o operator) tombstone(stream string) {
	o.t.Helper()
	_, err := o.Leader().Tombstone(o.t.Context(), true, stream, model.ExpectAny)
	o.must(err)
}

func (o operator) settings(m model.Metadata) func(string) {
	return func(stream string) {
		o.t.Helper()
		_, err := o.Leader().SetMetadata(o.t.Context(), true, stream, model.ID(uuid.New()), m)
		o.must(err)
	}
}

// undo is what the runbook says: after a soft delete the first makes the server
// truncate the stream.
func (o operator) undo(stream string) {
	for range 2 {
		o.settings(model.Metadata{})(stream)
	}
}

// newest is the revision of the newest record that there is of a stream, hidden or
// not.
func (o operator) newest(stream string) (revision int64) {
	o.t.Helper()
	revision = -1
	all, err := o.Leader().ReadAll(o.t.Context(), true, model.Start, false, 1_000_000, nil)
	o.must(err)
	for _, r := range all {
		if r.Stream == stream {
			revision = r.Revision
		}
	}
	return revision
}

// Nothing is written to a stream that shows less than it has: the server would take
// it. That holds for every way to hide events, for appends that expect no stream,
// the newest revision or nothing, for a server that runs and one that begins, on
// each of two nodes, before a scavenge and after it, and until it is undone.
func TestNothingIsWrittenToAStreamThatWasDeleted(t *testing.T) {
	deeds := map[string]struct {
		do   func(o operator, stream string)
		kind eventstore.InterferenceKind
		all  bool // it hides all events
	}{
		"soft delete":              {operator.softDelete, eventstore.HiddenEvents, true},
		"$tb behind the newest":    {func(o operator, s string) { o.settings(model.Metadata{TruncateBefore: new(int64(3))})(s) }, eventstore.HiddenEvents, true},
		"$tb in the middle":        {func(o operator, s string) { o.settings(model.Metadata{TruncateBefore: new(int64(2))})(s) }, eventstore.HiddenEvents, false},
		"$maxAge":                  {func(o operator, s string) { o.settings(model.Metadata{MaxAge: new(int64(0))})(s) }, eventstore.HiddenEvents, true},
		"$maxCount":                {func(o operator, s string) { o.settings(model.Metadata{MaxCount: new(int64(1))})(s) }, eventstore.HiddenEvents, false},
		"tombstone":                {operator.tombstone, eventstore.DeletedStream, true},
		"soft delete, undone once": {func(o operator, s string) { o.softDelete(s); o.settings(model.Metadata{})(s) }, eventstore.HiddenEvents, true},
	}
	expectations := map[string]eventstore.ExpectedRevision{
		"no stream": eventstore.NoStream(), "the newest": eventstore.Exactly(2), "anything": eventstore.Any(),
	}
	for _, prefix := range []string{"", "ledger/"} {
		for _, stream := range []string{"claim-email-1", "agent-1"} {
			for name, d := range deeds {
				t.Run(prefix+stream+" "+name, func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						cluster := modelled(t, model.Options{Latency: time.Millisecond})
						o, lines := operator{t, cluster}, &logged{}
						another := func() *esdb.Store {
							store := on(t, &modelwire.Dialer{Cluster: cluster}, esdb.Options{Prefix: prefix, Logger: slog.New(lines)})
							headOf(t, store)
							time.Sleep(time.Second)
							return store
						}
						a, b := another(), another()
						mustAppend(t, a, stream, eventstore.NoStream(), newDrafts(3)...)
						mustAppend(t, a, "agent-2", eventstore.NoStream(), newDrafts(1)...)
						time.Sleep(time.Second)
						d.do(o, prefix+stream)
						time.Sleep(time.Second) // the tail brings it
						newest := o.newest(prefix + stream)
						refused := func(when string, store *esdb.Store) {
							t.Helper()
							for what, expected := range expectations {
								_, err := store.Append(soon(t, time.Minute), stream, expected, newDrafts(1)...)
								found, ok := errors.AsType[*eventstore.InterferedError](err)
								if !ok || found.Kind != d.kind || found.Stream != stream {
									t.Errorf("%s, expecting %s: %v, want %s", when, what, err, d.kind)
								}
							}
							if now := o.newest(prefix + stream); now != newest {
								t.Errorf("%s: something was written, the newest revision is %d, before it was %d", when, now, newest)
							}
							mustAppend(t, store, "agent-2", eventstore.Any(), newDrafts(1)...)
						}
						refused("by the node that wrote it", a)
						refused("by the other node", b)
						refused("by one that begins", another())
						if d.all && d.kind == eventstore.HiddenEvents {
							for _, err := range b.ReadStream(t.Context(), stream, 0, eventstore.Forwards) {
								if !errors.As(err, new(*eventstore.InterferedError)) {
									t.Errorf("a read of it: %v", err)
								}
							}
							o.undo(prefix + stream)
							for what, store := range map[string]*esdb.Store{"by the node that wrote it": a, "by the other node": b, "by one that begins": another()} {
								appended, err := store.Append(soon(t, time.Minute), stream, eventstore.Any(), newDrafts(1)...)
								if newest++; err != nil || appended.Revision != newest {
									t.Errorf("undone, %s: revision %d, %v, want %d", what, appended.Revision, err, newest)
								}
							}
							d.do(o, prefix+stream)
							time.Sleep(time.Second)
							newest = o.newest(prefix + stream)
						}
						if lines := strings.Join(lines.above(slog.LevelWarn), "\n"); d.kind == eventstore.HiddenEvents && (!strings.Contains(lines, stream) || !strings.Contains(lines, "broken-chain.md")) {
							t.Errorf("the log names neither the stream nor the way out:\n%s", lines)
						}
						cluster.Scavenge()
						refused("after a scavenge", a)
						refused("after a scavenge, by one that begins", another())
					})
				})
			}
		}
	}
}

// meddling deletes a stream as soon as an append to it is under way.
type meddling struct {
	wire.Dialer
	before func(stream string)
}

func (m meddling) Dial(ctx context.Context) (wire.Conn, error) {
	c, err := m.Dialer.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return meddled{c, m.before}, nil
}

type meddled struct {
	wire.Conn
	before func(stream string)
}

func (m meddled) Append(ctx context.Context, stream string, expected int64, events []wire.Proposal) (wire.Written, error) {
	m.before(stream)
	return m.Conn.Append(ctx, stream, expected, events)
}

// A delete that comes between the look and the append cannot be kept from it. But
// nobody gets a claim by it, and it is named from then on.
func TestADeleteThatOvertakesAnAppendGivesNobodyAClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := modelled(t, model.Options{Latency: time.Millisecond})
		o := operator{t, cluster}
		other := on(t, &modelwire.Dialer{Cluster: cluster}, esdb.Options{})
		armed := false
		store := esdb.NewOn(meddling{&modelwire.Dialer{Cluster: cluster}, func(stream string) {
			if stream == "claim-1" && armed {
				armed = false
				mustAppend(t, other, "claim-1", eventstore.NoStream(), newDrafts(1)...)
				o.softDelete("claim-1")
			}
		}}, esdb.Options{})
		t.Cleanup(store.Close)
		headOf(t, store)
		armed = true
		claim := storetest.NewDraft("a.x")
		for range 2 { // the repetition gets it neither
			if _, err := store.Append(t.Context(), "claim-1", eventstore.NoStream(), claim); !errors.As(err, new(*eventstore.InterferedError)) {
				t.Errorf("a claim that a delete overtook: %v", err)
			}
		}
		if armed {
			t.Error("nothing came between")
		}
		found, err := eventstore.Interferences(t.Context(), store, 0)
		if err != nil || len(found) == 0 || found[0].Stream != "claim-1" {
			t.Errorf("found %v, %v", found, err)
		}
	})
}

// Barriers are bounded again after a soft delete, which leaves no settings but its own.
func TestBarriersStayBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := modelled(t, model.Options{Latency: time.Millisecond})
		o := operator{t, cluster}
		store := on(t, &modelwire.Dialer{Cluster: cluster}, esdb.Options{Prefix: "ledger/"})
		mustAppend(t, store, "a-1", eventstore.NoStream(), newDrafts(1)...)
		barriers := func() int {
			for range 5 {
				time.Sleep(time.Minute) // idle, so that each head needs a barrier
				headOf(t, store)
			}
			kept, _, err := o.Leader().ReadStream(t.Context(), true, "ledger/barrier", 0, false, 100)
			o.must(err)
			return len(kept)
		}
		if n := barriers(); n != 1 {
			t.Errorf("%d barriers are kept, want 1", n)
		}
		o.softDelete("ledger/barrier")
		if n := barriers(); n != 1 {
			t.Errorf("%d barriers are kept after a soft delete, want 1", n)
		}
	})
}

// Settings that hide nothing, those of other streams and those of the barrier are
// no reason to refuse anything.
func TestSettingsThatHideNothingRefuseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := modelled(t, model.Options{Latency: time.Millisecond})
		o := operator{t, cluster}
		store := on(t, &modelwire.Dialer{Cluster: cluster}, esdb.Options{Prefix: "ledger/"})
		mustAppend(t, store, "a-1", eventstore.NoStream(), newDrafts(2)...)
		o.settings(model.Metadata{ACL: json.RawMessage(`{"$r":["agentidp"]}`)})("ledger/a-1")
		o.settings(model.Metadata{TruncateBefore: new(int64(0))})("ledger/a-1")
		o.settings(model.Metadata{})("ledger/a-2")
		o.softDelete("other/a-3")
		o.softDelete("a-3")
		headOf(t, store)
		for _, ended := range []func(string){o.softDelete, o.tombstone} {
			ended("ledger/barrier")
			time.Sleep(time.Minute)
			headOf(t, store)
		}
		o.tombstone("ledger/barrier.1")
		headOf(t, on(t, &modelwire.Dialer{Cluster: cluster}, esdb.Options{Prefix: "ledger/"}))
		time.Sleep(time.Minute)
		headOf(t, store)
		mustAppend(t, store, "a-1", eventstore.Exactly(1), newDrafts(1)...)
		mustAppend(t, store, "a-2", eventstore.NoStream(), newDrafts(1)...)
		mustAppend(t, store, "a-3", eventstore.NoStream(), newDrafts(1)...)
		if got := len(storetest.Verify(t, store)); got != 5 {
			t.Errorf("%d events, want 5", got)
		}
	})
}
