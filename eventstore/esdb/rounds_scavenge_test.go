package esdb_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/esdb/model"
	"github.com/sentryagent/agentidp/eventstore/esdb/modelwire"
	"github.com/sentryagent/agentidp/eventstore/storetest"
)

// Two nodes of ours are stopped and started around scavenges, which take foreign
// events and events of the ledger that somebody has hidden. Each goes on from the
// places that it kept. Its read model has what a rebuild has, each event once and
// in order, and its index of what has ended lacks nothing.
func TestScavengeRounds(t *testing.T) {
	rounds, first := wantedRounds(t, "SCAVENGE_ROUNDS", 20)
	removed, stops := 0, 0
	for n := range rounds {
		seed := first + uint64(n)
		r := scavengeRound(t, seed, none)
		if len(r.wrong) > 0 {
			t.Errorf("ROUNDS_SEED=%d fails:\n%s", seed, strings.Join(r.wrong, "\n"))
		}
		removed, stops = removed+r.removed, stops+r.stops
	}
	t.Logf("%d rounds: %d events scavenged, nodes stopped %d times", rounds, removed, stops)
	if removed < 20*rounds || stops < 2*rounds {
		t.Errorf("too little happened to show anything")
	}
}

// The rounds mean something: they find an engine that leaves out what comes after
// a record that is gone.
func TestScavengeRoundsFindTheMistake(t *testing.T) {
	if raceEnabled {
		t.Skip("rounds take long with the race detector, and look for no race here")
	}
	const within = 40
	for seed := range uint64(within) {
		if wrong := scavengeRound(t, seed, skipping).wrong; len(wrong) > 0 {
			t.Logf("seed %d: %s", seed, wrong[0])
			return
		}
	}
	t.Errorf("not found in %d rounds", within)
}

type scavenged struct {
	wrong          []string
	removed, stops int
}

func scavengeRound(t *testing.T, seed uint64, m mistake) (r scavenged) {
	synctest.Test(t, func(t *testing.T) {
		defer replayable(seed)()
		w := newScavengeRound(t, seed, m)
		defer w.end()
		w.run(t.Context())
		w.truth.mu.Lock()
		defer w.truth.mu.Unlock()
		r = scavenged{w.truth.wrong, w.removed, w.stops}
	})
	return r
}

// scavengeRound's world: a cluster that others use, two nodes, and what each
// keeps while it is stopped.
type aScavengeRound struct {
	cluster *model.Cluster
	rng     *rand.Rand
	truth   *truth
	tenant  *tenant
	open    func() *esdb.Store
	nodes   [2]*ours
	kept    [2]*kept
	cancel  [2]func() // ends what fills kept; nil while the node is stopped
	prefix  string
	notes   map[uuid.UUID]bool // events that somebody may hide
	note    int

	removed, stops int
}

func newScavengeRound(t *testing.T, seed uint64, m mistake) *aScavengeRound {
	rng := seeded(seed)
	w := &aScavengeRound{rng: rng, truth: newTruth(), notes: map[uuid.UUID]bool{}, prefix: []string{"", "mine/"}[rng.IntN(2)]}
	w.cluster = modelled(t, model.Options{
		Version: []string{"23.10", "24.10", "25.1"}[rng.IntN(3)], Rand: seeded(seed), Latency: between(rng, 0, 2*time.Millisecond),
	})
	if rng.IntN(2) == 0 {
		w.cluster.EnableProjections()
	}
	w.open = func() *esdb.Store {
		return esdb.NewOn(&lossy{Dialer: &modelwire.Dialer{Cluster: w.cluster}, seed: seed, mistake: m}, esdb.Options{Prefix: w.prefix, Jitter: jitter(seed)})
	}
	for n := range w.nodes {
		w.nodes[n], w.kept[n] = &ours{open: w.open}, &kept{ended: map[uuid.UUID]int{}}
		w.start(n)
	}
	return w
}

func (w *aScavengeRound) start(n int) {
	w.nodes[n].start()
	store := w.nodes[n].current().store
	ctx, cancel := context.WithCancel(context.Background())
	var filling sync.WaitGroup
	filling.Go(func() { w.kept[n].follow(ctx, store) })
	w.cancel[n] = func() { cancel(); filling.Wait() }
}

func (w *aScavengeRound) stop(n int) {
	w.cancel[n]()
	w.cancel[n] = nil
	w.nodes[n].stop()
	w.stops++
}

func (w *aScavengeRound) end() {
	for n := range w.nodes {
		if w.cancel[n] != nil {
			w.stop(n)
		}
	}
}

func (w *aScavengeRound) run(ctx context.Context) {
	var err error
	if w.tenant, err = newTenant(ctx, w.nodes[0].current().ledger, w.truth, "acme", 3); err != nil {
		w.truth.fault("begin the round: %v", err)
		return
	}
	for range 40 {
		n := w.rng.IntN(2)
		switch w.rng.IntN(8) {
		case 0, 1, 2:
			w.work(ctx, n)
		case 3:
			w.others(ctx)
		case 4:
			w.hide(ctx, n)
			w.work(ctx, n) // no event of the ledger's end is taken: that is another fault
		case 5:
			w.removed += w.cluster.Scavenge()
		case 6: // a node is stopped while all that happens
			if w.rng.IntN(2) == 0 { // it has kept the place of an event that is about to go
				w.write(ctx, w.nodes[n].current(), 1)
				w.synced(ctx, n)
			}
			w.stop(n)
			for _, what := range w.rng.Perm(3) {
				switch what {
				case 0:
					w.others(ctx)
				case 1:
					w.hide(ctx, 1-n)
				case 2:
					w.last(ctx, 1-n)
				}
			}
			if w.rng.IntN(2) == 0 {
				w.much(ctx, 1-n)
			}
			w.work(ctx, 1-n)
			w.removed += w.cluster.Scavenge()
			w.start(n)
		case 7:
			w.compare(ctx)
		}
	}
	w.removed += w.cluster.Scavenge()
	w.compare(ctx)
}

// work has commands done, and notes written.
func (w *aScavengeRound) work(ctx context.Context, n int) {
	node := w.nodes[n].current()
	for range 1 + w.rng.IntN(6) {
		// A refusal is part of life, and nothing fails here.
		_, _ = w.tenant.command(ctx, w.rng, node)
		if w.rng.IntN(2) == 0 {
			w.write(ctx, node, 1+w.rng.IntN(3))
		}
	}
	w.last(ctx, n)
}

// last writes an event that nobody hides.
func (w *aScavengeRound) last(ctx context.Context, n int) {
	if _, err := w.nodes[n].current().store.Append(ctx, "agent-end", eventstore.Any(), storetest.NewDraft("note.last")); err != nil {
		w.truth.fault("append: %v", err)
	}
}

// much is more than a node has in memory when it starts: it goes on from the place
// that it kept by pages of the server's log.
func (w *aScavengeRound) much(ctx context.Context, n int) {
	for range 6 {
		if _, err := w.nodes[n].current().store.Append(ctx, "agent-much", eventstore.Any(), newDrafts(250)...); err != nil {
			w.truth.fault("append: %v", err)
		}
	}
}

// write adds to the stream of the ledger that is hidden next.
func (w *aScavengeRound) write(ctx context.Context, node *life, events int) {
	for range events {
		draft := storetest.NewDraft("note.taken")
		if _, err := node.store.Append(ctx, w.stream(), eventstore.Any(), draft); err != nil {
			w.truth.fault("append: %v", err)
		}
		w.notes[draft.ID] = true
	}
}

func (w *aScavengeRound) stream() string { return fmt.Sprintf("note-%d", w.note) }

// hide does to a stream of the ledger what only an operator of the server can. It
// is not written to again.
func (w *aScavengeRound) hide(ctx context.Context, n int) {
	w.write(ctx, w.nodes[n].current(), 3)
	leader, name, one := w.cluster.Leader(), w.prefix+w.stream(), int64(1)
	var err error
	switch w.rng.IntN(3) {
	case 0:
		_, err = leader.SetMetadata(ctx, false, name, model.ID(uuid.New()), model.Metadata{MaxCount: &one})
	case 1:
		_, err = leader.Delete(ctx, false, name, model.ExpectAny)
	case 2:
		_, err = leader.Tombstone(ctx, false, name, model.ExpectAny)
	}
	if err != nil {
		w.truth.fault("hide %s: %v", name, err)
	}
	w.note++
}

// others write to the server, and delete most of it.
func (w *aScavengeRound) others(ctx context.Context) {
	leader, stream := w.cluster.Leader(), fmt.Sprintf("orders-%d", w.rng.IntN(5))
	for range w.rng.IntN(80) {
		event := model.Proposed{ID: model.ID(uuid.New()), Type: "ordered", ContentType: "application/json", Data: []byte(`{}`)}
		if _, err := leader.Append(ctx, false, stream, model.ExpectAny, []model.Proposed{event}); err != nil {
			w.truth.fault("append to %s: %v", stream, err)
		}
	}
	if w.rng.IntN(2) == 0 {
		if _, err := leader.Delete(ctx, false, stream, model.ExpectAny); err != nil {
			w.truth.fault("delete %s: %v", stream, err)
		}
	}
}

// synced waits until what a node keeps has everything.
func (w *aScavengeRound) synced(ctx context.Context, n int) {
	store := w.nodes[n].current().store
	head, err := store.Head(ctx)
	if err == nil {
		err = w.kept[n].index(ctx, store, head)
	}
	if err != nil {
		w.truth.fault("%c: %v", 'A'+n, err)
		return
	}
	for deadline := time.Now().Add(time.Minute); w.kept[n].place() < head; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.truth.fault("%c: the read model is at %d, the ledger's head at %d", 'A'+n, w.kept[n].place(), head)
			return
		}
	}
}

// compare holds both nodes to a rebuild by a third, and to the truth.
func (w *aScavengeRound) compare(ctx context.Context) {
	third := &ours{open: w.open}
	third.start()
	defer third.stop()
	rebuilt := &kept{ended: map[uuid.UUID]int{}}
	store := third.current().store
	head, err := store.Head(ctx)
	if err == nil {
		err = rebuilt.index(ctx, store, head)
	}
	for e, failed := range store.ReadAll(ctx, 0, eventstore.Filter{}) {
		if failed != nil {
			err = failed
			break
		}
		rebuilt.saw = append(rebuilt.saw, e.ID)
	}
	if err != nil {
		w.truth.fault("rebuild: %v", err)
		return
	}
	for n := range w.nodes {
		w.synced(ctx, n)
		k := w.kept[n]
		k.mu.Lock()
		// What was hidden, and is gone, the rebuild cannot have.
		if got, want := w.without(k.saw), w.without(rebuilt.saw); !slices.Equal(got, want) {
			w.truth.fault("%c: the read model has %d events, a rebuild %d", 'A'+n, len(got), len(want))
		}
		if taken := w.missing(rebuilt.saw, k.saw); taken > 0 {
			w.truth.fault("%c: the read model lacks %d events that are there", 'A'+n, taken)
		}
		if !maps.Equal(k.ended, rebuilt.ended) {
			w.truth.fault("%c: the index of what has ended knows of %d things, a rebuild of %d", 'A'+n, len(k.ended), len(rebuilt.ended))
		}
		k.mu.Unlock()
		asked, node := time.Now(), w.nodes[n].current()
		known, err := node.revocations.Sync(ctx)
		if err != nil {
			w.truth.fault("%c: %v", 'A'+n, err)
			continue
		}
		w.truth.mu.Lock()
		tokens := append([]*held{}, w.truth.tokens...)
		w.truth.mu.Unlock()
		for _, token := range tokens {
			w.truth.judge(fmt.Sprintf("%c", 'A'+n), token, asked, known.Check(token.Token))
		}
	}
}

// without is events that nobody may hide.
func (w *aScavengeRound) without(events []uuid.UUID) []uuid.UUID {
	return slices.DeleteFunc(slices.Clone(events), func(id uuid.UUID) bool { return w.notes[id] })
}

// missing is how many events are not among others.
func (w *aScavengeRound) missing(events, others []uuid.UUID) (missing int) {
	has := map[uuid.UUID]bool{}
	for _, id := range others {
		has[id] = true
	}
	for _, id := range events {
		if !has[id] {
			missing++
		}
	}
	return missing
}

// kept is what a node has in its database while it is stopped: a read model, fed
// as those of the product are, and an index of what has ended, fed as that of
// the product is from its snapshot on.
type kept struct {
	applied eventstore.Position
	ended   map[uuid.UUID]int // events of the index, which are to come once

	mu  sync.Mutex // guards what follows; nothing is waited for under it
	at  eventstore.Position
	saw []uuid.UUID
}

func (k *kept) place() eventstore.Position {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.at
}

// follow feeds the read model.
func (k *kept) follow(ctx context.Context, store eventstore.Store) {
	sub := store.Subscribe(k.place(), eventstore.Filter{})
	defer func() { sub.Close() }()
	for ctx.Err() == nil {
		batch, err := sub.Next(ctx)
		if err != nil {
			sub.Close()
			sub = store.Subscribe(k.place(), eventstore.Filter{})
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		k.mu.Lock()
		for _, e := range batch.Events {
			k.saw = append(k.saw, e.ID)
		}
		k.at = batch.Position
		k.mu.Unlock()
	}
}

var endings = eventstore.Filter{Types: []string{
	"agent.reactivated", "agent.suspended", "credential.revoked", "delegation.created", "delegation.revoked",
	"organization.reactivated", "organization.suspended", "token.revoked",
}}

// index brings the index up to a head. It is the round's own goroutine that does.
func (k *kept) index(ctx context.Context, store eventstore.Store, head eventstore.Position) error {
	if head <= k.applied {
		return nil
	}
	for e, err := range eventstore.ReadNew(ctx, store, k.applied, head, endings) {
		if err != nil {
			return err
		}
		k.ended[e.ID]++
	}
	k.applied = head
	return nil
}
