package follow_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// However many followers a process runs, it reads each event once and decodes it
// once.
func TestAProcessReadsAndDecodesAnEventOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var told heard
	followers := append(projections.Followers(w.pool, w.store, readmodels.All(), nil), outside("outside", &told))
	var decoded atomic.Int64
	progress := follow.NewProgress(w.pool, w.store, followers, follow.ProgressOptions{})
	runner := follow.NewRunner(w.pool, w.store, followers, follow.RunnerOptions{Progress: progress})
	follow.OnDecode(runner, func() { decoded.Add(1) })
	run(t, runner)
	all := make([]string, len(followers))
	for i, f := range followers {
		all[i] = f.Name
	}
	arrived := func(position eventstore.Position) {
		t.Helper()
		eventually(t, "all have got there", func() bool {
			return !slices.ContainsFunc(progress.Status(), func(s follow.Status) bool { return s.Position < position })
		})
	}
	arrived(w.append(t, 10, issued())) // some of it may be there before the last follower is
	arrived(w.append(t, 1, issued()))
	subscriptions, events, before := w.store.subscriptions.Load(), w.store.events.Load(), decoded.Load()
	const n = 100
	for range n / 10 {
		arrived(w.append(t, 10, issued()))
	}
	if more := w.store.subscriptions.Load() - subscriptions; more != 0 {
		t.Errorf("%d subscriptions were made by followers that had caught up", more)
	}
	if read := w.store.events.Load() - events; read != n {
		t.Errorf("%d events were read %d times", n, read)
	}
	if times := decoded.Load() - before; times != n {
		t.Errorf("%d events were decoded %d times", n, times)
	}
	t.Logf("%d subscriptions at first", subscriptions)
}

func issued() domain.Event {
	return domain.TokenIssued{
		AgentID: domain.AgentID{UUID: uuid.Must(uuid.NewV7())}, TokenID: domain.TokenID{UUID: uuid.Must(uuid.NewV7())},
		CredentialID: domain.CredentialID{UUID: uuid.Must(uuid.NewV7())}, AuthMethod: domain.SecretCredential,
		Scope: "agents:read", Audience: "https://idp.example", Algorithm: "ES256", KeyID: "k1",
	}
}

// A follower that takes events seldom does not make others take theirs seldom.
func TestPaceIsEachFollowersOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var seldom, prompt heard
	rare := outside("seldom", &seldom)
	rare.Pace = time.Hour
	other := outside("prompt", &prompt)
	other.Types = []domain.Type{"agent.suspended"}
	w.process(t, rare, other)
	for n := range 5 {
		w.append(t, 1, issued())
		w.append(t, 1, suspended(""))
		eventually(t, "it has arrived", func() bool { return prompt.count() == n+1 })
	}
	if n := seldom.count(); n > 2 {
		t.Errorf("of 10 events that came one by one %d have got to who takes them once in an hour", n)
	}
}

// A follower that is slow keeps nobody waiting. It reads by itself what the tail
// has forgotten meanwhile, and comes back.
func TestASlowFollowerFallsBehindAloneAndComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var quick, slow heard
	goOn := make(chan struct{})
	sluggish := follow.Follower{Name: "slow", Sink: follow.Outside(func(ctx context.Context, events []follow.Event) error {
		select {
		case <-goOn:
		case <-ctx.Done():
		}
		slow.take(events)
		return ctx.Err()
	})}
	progress, _ := w.process(t, outside("quick", &quick), sluggish)
	w.append(t, 1, suspended(""))
	eventually(t, "both are at work", func() bool { return quick.count() == 1 && w.store.subscriptions.Load() >= 1 })

	var last eventstore.Position
	for range 3 * follow.TailEvents / 500 {
		last = w.append(t, 500, suspended(""))
	}
	w.waitFor(t, progress, last, "quick")
	if n := slow.count(); n != 0 {
		t.Fatalf("the slow follower has taken %d events, and was to be held up", n)
	}
	together := w.store.subscriptions.Load()
	close(goOn)
	w.waitFor(t, progress, last, "slow")
	if alone := w.store.subscriptions.Load() - together; alone != 1 {
		t.Errorf("to catch up it made %d subscriptions, want one", alone)
	}
	events := w.store.events.Load()
	const n = 50
	for range n {
		last = w.append(t, 1, suspended(""))
		w.waitFor(t, progress, last, "quick", "slow")
	}
	if read := w.store.events.Load() - events; read != n {
		t.Errorf("after that %d events were read %d times, want them read together again", n, read)
	}
	for name, h := range map[string]*heard{"quick": &quick, "slow": &slow} {
		if got := h.list(); len(got) != int(last) || !slices.IsSorted(got) || got[len(got)-1] != last {
			t.Errorf("the %s follower has taken %d events in order %t, want all %d once and in order", name, len(got), slices.IsSorted(got), last)
		}
	}
}
