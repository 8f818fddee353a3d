package esdb_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
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
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// requestBound is how long a request may take as long as another node leads than
// the one that does not answer.
const requestBound = 3 * time.Second

// Two nodes of ours, three of the event store, and whatever goes wrong with them
// by a schedule that follows from a seed. What was ended through one node is
// active for none, what was answered is not lost, nobody waits for long, and what
// nobody has ended is active.
func TestRounds(t *testing.T) {
	rounds, first := wantedRounds(t, "ROUNDS", 1000)
	begin, sum := time.Now(), result{}
	for n := range rounds {
		seed := first + uint64(n)
		r := round(t, drawn(seed, 20*time.Second), esdb.Options{}, none)
		if len(r.wrong) > 0 {
			t.Errorf("ROUNDS_SEED=%d fails:\n%s\n%s", seed, drawn(seed, 20*time.Second), strings.Join(r.wrong, "\n"))
			if sum.failed++; sum.failed == 5 {
				break
			}
		}
		sum.add(r)
		if len(r.trace) > 0 {
			t.Logf("what happened:\n%s", strings.Join(r.trace, "\n"))
		}
		if (n+1)%10_000 == 0 {
			t.Logf("%d rounds in %s: %s", n+1, time.Since(begin).Round(time.Second), sum)
		}
	}
	t.Logf("%d rounds in %s (%.0f a second): %s", rounds, time.Since(begin), float64(rounds)/time.Since(begin).Seconds(), sum)
	if sum.failed == 0 && rounds > 50 && (sum.dead < 20*rounds || sum.commands < 10*rounds) {
		t.Errorf("too little happened in %d rounds to show anything: %s", rounds, sum)
	}
}

// The rounds mean something: each of these mistakes is found within some rounds.
func TestRoundsFindMistakes(t *testing.T) {
	if raceEnabled {
		t.Skip("rounds take long with the race detector, and look for no race here")
	}
	for name, c := range map[string]struct {
		options esdb.Options
		mistake mistake
		within  uint64 // rounds
		finds   string
	}{
		"no proof that a node leads":        {esdb.Options{}, unproven, 300, "says active"},
		"a lease longer than the election":  {esdb.Options{Lease: 20 * time.Second}, none, 300, "says active"},
		"an append answered, never written": {esdb.Options{}, takenForWritten, 20, "was told to be at"},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range c.within {
				for _, wrong := range round(t, drawn(seed, 20*time.Second), c.options, c.mistake).wrong {
					if strings.Contains(wrong, c.finds) {
						t.Logf("seed %d: %s", seed, wrong)
						return
					}
				}
			}
			t.Errorf("not found in %d rounds", c.within)
		})
	}
}

// wantedRounds is how many rounds are asked for, and by what seed they begin.
func wantedRounds(t *testing.T, setting string, usual int) (rounds int, first uint64) {
	rounds = usual
	if raceEnabled || testing.Short() {
		rounds = usual / 20
	}
	if text := os.Getenv("ROUNDS_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("ROUNDS_SEED is a number: %v", err)
		}
		rounds, first = 1, seed
	}
	return wanted(t, setting, rounds), first
}

// result is what came of rounds.
type result struct {
	wrong                        []string
	failed, told, dead, commands int
	slowest                      time.Duration
	trace                        []string
}

func (r *result) add(other result) {
	r.told, r.dead, r.commands = r.told+other.told, r.dead+other.dead, r.commands+other.commands
	r.slowest = max(r.slowest, other.slowest)
}

func (r result) String() string {
	return fmt.Sprintf("%d commands done, %d tokens judged, %d of them had been ended, longest wait while one led %s", r.commands, r.told, r.dead, r.slowest)
}

// round runs one schedule in virtual time. It replays from its seed
// (TestARoundReplays): all that is left to chance follows from the seed, the moment
// and the matter, so it does not matter who comes first. What happens at the same
// nanosecond does so in the order of Go's scheduler, which nobody can seed; so
// latencies differ by who asks for what, and no two waits are of the same length.
func round(t *testing.T, s schedule, options esdb.Options, m mistake) (r result) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) {
		defer replayable(s.seed)()
		w := newRound(t, s, options, m)
		w.run(t.Context())
		tr := w.truth
		tr.mu.Lock()
		defer tr.mu.Unlock()
		r = result{wrong: tr.wrong, told: tr.told, dead: tr.dead, commands: tr.commands, slowest: tr.slowest, trace: w.trace}
	})
	return r
}

// replayable has a round begin at a moment of its own, and draws the ids of its
// events from the seed, so that it is the same in whatever company it runs. Ids
// never go back in time, so where others of this process have come further it
// begins later.
func replayable(seed uint64) (over func()) {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	uuid.SetRand(&lockedReader{from: rand.NewChaCha8(key)})
	begin := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(seed%1_000_000) * 5 * time.Minute)
	seconds, nanos := ledger.NewID().Time().UnixTime()
	if minted := time.Unix(seconds, nanos); minted.After(begin) {
		begin = minted.Add(time.Millisecond)
	}
	time.Sleep(time.Until(begin))
	return func() { uuid.SetRand(nil) }
}

type lockedReader struct {
	mu   sync.Mutex // guards from
	from io.Reader
}

func (l *lockedReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.from.Read(p)
}

type aRound struct {
	schedule schedule
	trouble  *trouble
	nodes    [2]*ours
	truth    *truth
	tenant   *tenant
	begin    time.Time
	traced   bool

	mu    sync.Mutex // guards trace
	trace []string
}

func newRound(t *testing.T, s schedule, options esdb.Options, m mistake) *aRound {
	cluster := modelled(t, model.Options{Nodes: 3, Elections: true, Rand: seeded(s.seed), Latency: s.latency})
	w := &aRound{schedule: s, trouble: &trouble{cluster: cluster, cut: map[*model.Node]bool{}}, truth: newTruth(), begin: time.Now(), traced: s.traced || os.Getenv("ROUNDS_SEED") != "" && os.Getenv("ROUNDS") == ""}
	for n := range w.nodes {
		own := 1_000_000_000*uint64(n+1) + s.seed
		dialer, options := &lossy{Dialer: &modelwire.Dialer{Cluster: cluster, Seed: own}, seed: own, mistake: m}, options
		options.Jitter, options.Timeout = jitter(own), oddTimeout+7*time.Millisecond
		w.nodes[n] = &ours{dialer: dialer, seed: own, open: func() *esdb.Store { return esdb.NewOn(dialer, options) }}
		w.nodes[n].start()
	}
	return w
}

func (w *aRound) run(ctx context.Context) {
	done := make(chan struct{})
	var watching, working sync.WaitGroup
	watching.Go(func() { w.trouble.watch(done) })
	defer func() {
		close(done)
		watching.Wait()
		for _, n := range w.nodes {
			n.stop()
		}
	}()
	var err error
	if w.tenant, err = newTenant(ctx, w.nodes[0].current().ledger, w.truth, "acme", 3); err != nil {
		w.truth.fault("begin the round: %v", err)
		return
	}
	w.begin = time.Now()
	end := w.begin.Add(w.schedule.ends())
	for _, f := range w.schedule.faults {
		working.Go(func() { w.strike(f) })
	}
	for n := range 2 {
		working.Go(func() { w.command(ctx, seeded(w.schedule.seed+3000+uint64(n)), end) })
		working.Go(func() { w.ask(ctx, n, seeded(w.schedule.seed+4000+uint64(n)), end) })
	}
	working.Wait()
	time.Sleep(settled)
	w.final(ctx)
}

func (w *aRound) say(format string, arguments ...any) {
	if !w.traced {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace = append(w.trace, fmt.Sprintf("%-14s ", time.Since(w.begin))+fmt.Sprintf(format, arguments...))
}

func (w *aRound) strike(f fault) {
	time.Sleep(f.at)
	w.say("%s", f.what)
	switch f.what {
	case answersLost:
		w.trouble.lose(w.nodes[f.node], true)
		time.Sleep(f.lasts)
		w.trouble.lose(w.nodes[f.node], false)
	case ourStopped:
		w.nodes[f.node].stop()
		time.Sleep(f.lasts)
		if w.nodes[f.node].current() == nil {
			w.nodes[f.node].start()
		}
	default:
		over := w.trouble.strike(f)
		time.Sleep(f.lasts)
		over()
	}
	w.say("%s: over", f.what)
}

// command has commands done through one node or the other, and asks the other
// one at once.
func (w *aRound) command(ctx context.Context, rng *rand.Rand, end time.Time) {
	for time.Now().Before(end) {
		time.Sleep(between(rng, 5*time.Millisecond, 800*time.Millisecond))
		w.act(ctx, rng)
	}
}

func (w *aRound) act(ctx context.Context, rng *rand.Rand) {
	n, drawn := rng.IntN(2), seeded(rng.Uint64())
	node := w.nodes[n].current()
	if node == nil {
		return
	}
	var what string
	err := w.bounded(ctx, func(ctx context.Context) (err error) {
		what, err = w.tenant.command(ctx, drawn, node)
		return err
	})
	w.say("%c: %s: %v", 'A'+n, what, err)
	if err != nil {
		return
	}
	w.truth.mu.Lock()
	w.truth.commands++
	w.truth.mu.Unlock()
	w.question(ctx, 1-n, w.truth.some(drawn))
}

// ask keeps asking one node.
func (w *aRound) ask(ctx context.Context, n int, rng *rand.Rand, end time.Time) {
	for time.Now().Before(end) {
		time.Sleep(between(rng, time.Millisecond, 300*time.Millisecond))
		w.question(ctx, n, w.truth.some(rng))
	}
}

// question asks a node about a token, as introspection does.
func (w *aRound) question(ctx context.Context, n int, token *held) {
	node := w.nodes[n].current()
	if node == nil || token == nil {
		return
	}
	asked := time.Now()
	var verdict revocation.Verdict
	err := w.bounded(ctx, func(ctx context.Context) error {
		known, err := node.revocations.Sync(ctx)
		verdict = known.Check(token.Token)
		return err
	})
	w.say("%c asked: %q %v", 'A'+n, verdict, err)
	if err == nil {
		w.truth.judge(fmt.Sprintf("%s: %c", time.Since(w.begin), 'A'+n), token, asked, verdict)
	}
}

// bounded holds a request to its bound.
func (w *aRound) bounded(ctx context.Context, request func(context.Context) error) error {
	const patience = 20 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	begin := time.Now()
	err := request(ctx)
	took, led := time.Since(begin), time.Duration(0)
	if w.trouble != nil {
		led = w.trouble.waited(begin)
	}
	if errors.Is(err, context.DeadlineExceeded) && took >= patience {
		w.truth.fault("%s: a request came to no end within %s", time.Since(w.begin), patience)
	}
	if led > requestBound {
		w.truth.fault("%s: a request took %s, %s of it while a node led: %v", time.Since(w.begin), took, led, err)
	}
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	w.truth.slowest = max(w.truth.slowest, led)
	return err
}

// settled is how long after the last fault everything is well again: an election,
// a deposed leader's last answers, and our pauses between attempts.
const settled = 15 * time.Second

// final looks at everything once nothing goes wrong any more: both nodes, and one
// that starts now, know what has ended, and the ledger is whole.
func (w *aRound) final(ctx context.Context) {
	third := &ours{open: w.nodes[0].open}
	third.start()
	defer third.stop()
	w.truth.mu.Lock()
	tokens := append([]*held{}, w.truth.tokens...)
	w.truth.mu.Unlock()
	for i, n := range []*ours{w.nodes[0], w.nodes[1], third} {
		name := fmt.Sprintf("in the end, %c", 'A'+i)
		node := n.current()
		if node == nil {
			w.truth.fault("%s does not run", name)
			continue
		}
		asked := time.Now()
		known, err := node.revocations.Sync(ctx)
		if err != nil {
			w.truth.fault("%s: %v", name, err)
			continue
		}
		for _, token := range tokens {
			w.truth.judge(name, token, asked, known.Check(token.Token))
		}
	}
	w.whole(ctx, third.current().store)
}

// whole reads the ledger: its chain is whole, and every event that was told of is
// where it was told to be.
func (w *aRound) whole(ctx context.Context, store *esdb.Store) {
	chain, found := eventstore.NewChain(eventstore.ChainOptions{}), map[uuid.UUID]eventstore.Position{}
	for e, err := range store.ReadAll(ctx, 0, eventstore.Filter{}) {
		if err != nil {
			w.truth.fault("read the ledger: %v", err)
			return
		}
		if err := chain.Check(e); err != nil {
			w.truth.fault("the chain is broken: %v", err)
		}
		if _, twice := found[e.ID]; twice {
			w.truth.fault("event %s is in the ledger twice", e.ID)
		}
		found[e.ID] = e.Position
	}
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	for id, at := range w.truth.written {
		if found[id] != at {
			w.truth.wrong = append(w.truth.wrong, fmt.Sprintf("event %s was told to be at %d, and is at %d", id, at, found[id]))
		}
	}
}
