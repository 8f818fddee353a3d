package esdb_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
	"github.com/sentryagent/agentidp/internal/realstore"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// halting is an event store whose leader can be halted.
type halting interface {
	// freeze halts the leader, and returns once another leads.
	freeze(rng *rand.Rand) (wake func() error, err error)
}

// replaced is the wire server: it has another node lead at once.
type replaced struct{ *wiretest.Cluster }

func (s replaced) freeze(rng *rand.Rand) (wake func() error, err error) {
	leader := s.Leader()
	leader.Freeze()
	s.Lead(s.Node((leader.Number() + 1 + rng.IntN(s.Nodes()-1)) % s.Nodes()))
	return func() error { leader.Wake(); return nil }, nil
}

// byProgram is a store of somebody else's, which elects another by itself.
type byProgram struct{ *realstore.Program }

// electionPatience is how long an election may take. A real one takes 1.5 to 7 s.
const electionPatience = 30 * time.Second

func (s byProgram) freeze(*rand.Rand) (wake func() error, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*electionPatience)
	defer cancel()
	if err := s.Heal(); err != nil {
		return nil, err
	}
	leader, err := s.AwaitLeader(ctx, realstore.Node{})
	if err == nil {
		err = s.Freeze(leader)
	}
	if err == nil {
		_, err = s.AwaitLeader(ctx, leader)
	}
	return func() error { return s.Wake(leader) }, err
}

// The leader is frozen, another one takes its place, and what tokens rest on is
// ended through node B: a token revoked, an agent suspended, a delegation
// revoked, an organization suspended. Then the old leader is woken, which does
// not know that it leads no more. Node A never says active after B's answer.
func TestAFrozenLeaderVouchesForNothing(t *testing.T) { // beside no other: twelve servers and eight stores keep a machine busy
	const rounds = 20
	results := frozenOnTheWire(t, rounds, none)
	judged, dead := 0, 0
	for _, r := range results {
		if len(r.wrong) > 0 {
			t.Errorf("seed %d: %s", r.seed, strings.Join(r.wrong, "\n"))
		}
		judged, dead = judged+r.told, dead+r.dead
	}
	t.Logf("%d rounds: %d tokens judged, %d of them had been ended", rounds, judged, dead)
	if dead < rounds {
		t.Errorf("only %d answers were about tokens that had been ended", dead)
	}
}

// The rounds mean something: they find an engine that takes whoever answers for
// the leader.
func TestFrozenLeaderRoundsFindTheMistake(t *testing.T) {
	if raceEnabled {
		t.Skip("with the race detector everything takes so long that nobody is left on the old leader")
	}
	for range 3 { // whether a call meets the old leader in its last second is the machine's affair as well
		for _, r := range frozenOnTheWire(t, 10, unproven) {
			for _, wrong := range r.wrong {
				if strings.Contains(wrong, "says active") {
					return
				}
			}
		}
	}
	t.Error("not found in 30 rounds")
}

type frozenResult struct {
	seed uint64
	result
}

// frozenOnTheWire runs rounds, each on a cluster of its own, and some at a time:
// they wait more than they work.
func frozenOnTheWire(t *testing.T, rounds int, m mistake) (results []frozenResult) {
	t.Helper()
	results = make([]frozenResult, rounds)
	atOnce := 8
	if raceEnabled {
		atOnce = 4
	}
	places := make(chan struct{}, atOnce)
	var running sync.WaitGroup
	for n := range rounds {
		running.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			cluster, err := wiretest.New(3)
			if err != nil {
				t.Error(err)
				return
			}
			defer cluster.Close()
			results[n] = frozenResult{uint64(n), frozenRound(t.Context(), replaced{cluster}, uint64(n), opener(cluster.URL(), "", m, uint64(n)))}
		})
	}
	running.Wait()
	return results
}

// opener opens stores on a server, with a mistake in between where one is to be
// found.
func opener(url, prefix string, m mistake, seed uint64) func() *esdb.Store {
	return func() *esdb.Store {
		options := esdb.Options{Prefix: prefix, MinBackoff: 20 * time.Millisecond, MaxBackoff: 200 * time.Millisecond}
		dialer, err := esdb.Library(url, 5*time.Second)
		if err != nil {
			panic(err) // the test server's own URL, or one that was looked at
		}
		return esdb.NewOn(&lossy{Dialer: dialer, mistake: m, seed: seed}, options)
	}
}

// frozenRound is one round. Errors are part of it; a node that says active is not.
// Where a machine is too busy for something to be ended, nothing is asked of it.
func frozenRound(ctx context.Context, servers halting, seed uint64, open func() *esdb.Store) result {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	rng := seeded(seed)
	w := &aRound{truth: newTruth(), begin: time.Now()}
	for n := range w.nodes {
		w.nodes[n] = &ours{open: open}
		w.nodes[n].start()
		defer w.nodes[n].stop()
	}
	endings, err := w.prepare(ctx, rng)
	if err != nil {
		w.truth.fault("begin the round: %v", err)
		return w.result()
	}
	frozen := between(rng, time.Second, 3*time.Second)
	idle := rng.IntN(2) == 0 // A hears nothing of it, until it is asked

	begin := time.Now()
	wake, err := servers.freeze(rng)
	if err != nil {
		w.truth.fault("freeze the leader: %v", err)
		return w.result()
	}
	var asking sync.WaitGroup
	defer asking.Wait()
	done := make(chan struct{})
	defer close(done)
	ask := func() {
		seed := rng.Uint64()
		asking.Go(func() { w.keepAsking(ctx, 0, seeded(seed), done) })
	}
	if !idle {
		ask()
	}
	for _, n := range rng.Perm(len(endings)) {
		if err := insist(ctx, endings[n]); err != nil && ctx.Err() == nil {
			w.truth.fault("end what tokens rest on: %v", err)
		}
	}
	time.Sleep(frozen - time.Since(begin))
	if err := wake(); err != nil {
		w.truth.fault("wake the leader: %v", err)
	}
	if idle {
		ask()
	}
	// A deposed leader answers from the past for up to 1.4 s.
	pause := time.NewTimer(1600 * time.Millisecond)
	defer pause.Stop()
	<-pause.C
	w.knows(ctx, 0)
	return w.result()
}

func (w *aRound) result() result {
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	return result{wrong: w.truth.wrong, told: w.truth.told, dead: w.truth.dead, commands: w.truth.commands}
}

// keepAsking asks a node about tokens, a question every few milliseconds.
func (w *aRound) keepAsking(ctx context.Context, n int, rng *rand.Rand, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-time.After(between(rng, 5*time.Millisecond, 50*time.Millisecond)):
			short, cancel := context.WithTimeout(ctx, 3*time.Second)
			w.question(short, n, w.truth.some(rng))
			cancel()
		}
	}
}

// knows asks a node until it answers, about each token.
func (w *aRound) knows(ctx context.Context, n int) {
	node := w.nodes[n].current()
	var asked time.Time
	var known revocation.View
	if err := insist(ctx, func(ctx context.Context) (err error) {
		asked = time.Now()
		known, err = node.revocations.Sync(ctx)
		return err
	}); err != nil {
		if ctx.Err() == nil {
			w.truth.fault("%c does not answer any more: %v", 'A'+n, err)
		}
		return
	}
	w.truth.mu.Lock()
	tokens := append([]*held{}, w.truth.tokens...)
	w.truth.mu.Unlock()
	for _, token := range tokens {
		w.truth.judge(fmt.Sprintf("in the end, %c", 'A'+n), token, asked, known.Check(token.Token))
	}
}

// prepare has tokens issued through A, each of which rests on something else that
// is about to be ended through B.
func (w *aRound) prepare(ctx context.Context, rng *rand.Rand) (endings []func(context.Context) error, err error) {
	a, b := w.nodes[0].current(), w.nodes[1].current()
	const token, agent, delegation, organization = 0, 1, 2, 3
	for kind := range 4 {
		t, err := newTenant(ctx, a.ledger, w.truth, fmt.Sprintf("acme%d", kind), 2)
		if err != nil {
			return nil, err
		}
		first := t.agents[0]
		if kind == delegation {
			if err = t.lend(ctx, a, first, t.agents[1]); err == nil {
				err = t.exchange(ctx, a, rng)
			}
		} else {
			err = t.issue(ctx, a, first)
		}
		if err != nil {
			return nil, err
		}
		w.truth.mu.Lock()
		issued := w.truth.tokens[len(w.truth.tokens)-1]
		w.truth.mu.Unlock()
		switch kind {
		case token:
			endings = append(endings, func(ctx context.Context) error { return t.revokeToken(ctx, b, issued) })
		case agent:
			endings = append(endings, func(ctx context.Context) error { return t.suspendAgent(ctx, b, first) })
		case delegation:
			endings = append(endings, func(ctx context.Context) error { return t.revokeDelegation(ctx, b, rng) })
		case organization:
			endings = append(endings, func(ctx context.Context) error { return t.suspendWhole(ctx, b) })
		}
	}
	return endings, insist(ctx, func(ctx context.Context) error {
		_, err := b.revocations.Sync(ctx)
		return err
	})
}

func (t *tenant) suspendAgent(ctx context.Context, node *life, m *member) error {
	status := domain.AgentIsSuspended
	a := t.truth.begin("agent suspended", true, m.id.UUID)
	_, err := node.ledger.UpdateAgent(ctx, ledger.System(), m.id, domain.UpdateAgent{Caller: t.operator, Status: &status, Reason: "a round"})
	if err == nil {
		t.truth.done(a, nil, []ledger.Position{whole})
	}
	return err
}

func (t *tenant) suspendWhole(ctx context.Context, node *life) error {
	status := domain.OrganizationIsSuspended
	a := t.truth.begin("organization suspended", true, t.id.UUID)
	_, err := node.ledger.UpdateOrganization(ctx, ledger.System(), t.id, domain.UpdateOrganization{Caller: t.operator, Status: &status, Reason: "a round"})
	if err == nil {
		t.truth.done(a, nil, []ledger.Position{whole})
	}
	return err
}

// insist does something until it succeeds, or for as long as a round lasts at most.
func insist(ctx context.Context, do func(context.Context) error) (err error) {
	for {
		short, over := context.WithTimeout(ctx, 5*time.Second)
		err = do(short)
		over()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}
