package model_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
)

// A leader that slept through its deposition answers from the past until it
// learns of it, takes no append, and then ends; it comes back as a follower.
func TestADeposedLeaderAnswersFromThePast(t *testing.T) {
	seeds(t, func(w *world) {
		old := w.Leader()
		before := w.add(old, "s").Position
		begin := time.Now()
		old.Freeze()
		time.Sleep(time.Second)
		leader := w.leader()
		w.took("an election around a frozen leader", begin, 5*time.Second, 8*time.Second)
		after := w.add(leader, "s").Position

		old.Wake()
		woken := time.Now()
		if at, err := w.newest(old, true); err != nil || at != before {
			w.Errorf("the old leader answers %d, %v, want %d from the past; %d is the newest", at, err, before, after)
		}
		if err := w.within(100*time.Millisecond, old); !errors.Is(err, context.DeadlineExceeded) {
			w.Errorf("an append to the old leader: %v, want none to be answered", err)
		}
		for {
			at, err := w.newest(old, true)
			if err != nil {
				w.refused(err, model.Unavailable, "")
				break
			}
			if at != before {
				w.Fatalf("the old leader answers %d", at)
			}
			time.Sleep(10 * time.Millisecond)
		}
		w.took("learning of another leader", woken, 500*time.Millisecond, 1500*time.Millisecond)
		if old.Alive() {
			w.Error("the old leader's process goes on")
		}
		time.Sleep(3 * time.Second)
		_, err := w.newest(old, true)
		w.refused(err, model.NotFound, "Leader info available")
		if at, err := w.newest(old, false); err != nil || at < after {
			w.Errorf("as a follower it answers %d, %v, want %d", at, err, after)
		}
	})
}

// Cut off from the others, and not from us, a leader answers from the past
// until it gives up.
func TestALeaderThatIsCutOffGivesUp(t *testing.T) {
	seeds(t, func(w *world) {
		old := w.Leader()
		before := w.add(old, "s").Position
		begin := time.Now()
		w.Cut(old)
		waits := make(chan error)
		go func() {
			_, err := old.Append(w.Context(), true, "s", model.ExpectAny, w.events(1))
			waits <- err
		}()
		time.Sleep(100 * time.Millisecond)
		leader := w.leader()
		w.took("an election", begin, 1500*time.Millisecond, 2100*time.Millisecond)
		w.add(leader, "s")
		if at, err := w.newest(old, true); err != nil || at != before {
			w.Errorf("the old leader answers %d, %v, want %d from the past", at, err, before)
		}
		w.refused(<-waits, model.Aborted, "Request canceled by server")
		w.took("giving up", begin, 3500*time.Millisecond, 3600*time.Millisecond)
		_, err := w.newest(old, true)
		w.refused(err, model.Unavailable, "Server Is Not Ready")
		w.Cut()
		time.Sleep(time.Second)
		_, err = w.newest(old, true)
		w.refused(err, model.NotFound, "Leader info available")
	})
}

func TestAnElectionTakesItsTime(t *testing.T) {
	for name, c := range map[string]struct {
		fault       func(w *world, leader *model.Node)
		least, most time.Duration
	}{
		"killed":   {func(_ *world, leader *model.Node) { leader.Kill() }, 1500 * time.Millisecond, 2100 * time.Millisecond},
		"resigned": {func(w *world, _ *model.Node) { w.Resign() }, 300 * time.Millisecond, time.Second},
		"frozen":   {func(_ *world, leader *model.Node) { leader.Freeze() }, 5 * time.Second, 7100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			seeds(t, func(w *world) {
				old := w.Leader()
				w.add(old, "s")
				follower := w.followers()[0]
				begin := time.Now()
				c.fault(w, old)
				notReady := false
				for w.Leader() == old || w.Leader() == nil {
					_, err := w.newest(follower, true)
					var r *model.Refusal
					notReady = notReady || errors.As(err, &r) && r.Message == "Server Is Not Ready"
					time.Sleep(time.Millisecond)
				}
				w.took("an election", begin, c.least, c.most)
				if !notReady {
					w.Error("nobody said that the server is not ready")
				}
				if w.leader() == old {
					w.Error("the old leader leads again")
				}
			})
		})
	}
}

// An append is answered by a quorum alone, and without one it waits.
func TestWithoutAQuorumNothingIsAnswered(t *testing.T) {
	seeds(t, func(w *world) {
		leader := w.Leader()
		w.add(leader, "s")
		others := w.followers()
		others[0].Kill()
		if err := w.within(time.Second, leader); err != nil {
			w.Errorf("an append with one follower away: %v", err)
		}
		events := w.Events()
		others[1].Kill()
		if err := w.within(time.Second, leader); !errors.Is(err, context.DeadlineExceeded) {
			w.Errorf("an append without a quorum: %v, want no answer", err)
		}
		if _, err := w.newest(leader, true); err != nil {
			w.Errorf("a read by a leader that has not given up: %v", err)
		}
		if got := w.Events(); got != events {
			w.Errorf("%d events, want %d", got, events)
		}
		time.Sleep(3 * time.Second)
		_, err := w.newest(leader, true)
		w.refused(err, model.Unavailable, "Server Is Not Ready")
		begin := time.Now()
		others[1].Start()
		w.leader()
		w.took("a leader after the quorum is back", begin, 0, 6100*time.Millisecond)
	})
}

// The same where a test names the leader: one that sleeps hears nothing of it.
func TestALeaderThatIsReplacedInItsSleepDoesNotKnow(t *testing.T) {
	for name, c := range map[string]struct{ away, back func(w *world, n *model.Node) }{
		"frozen":  {func(_ *world, n *model.Node) { n.Freeze() }, func(_ *world, n *model.Node) { n.Wake() }},
		"cut off": {func(w *world, n *model.Node) { w.Cut(n) }, func(w *world, _ *model.Node) { w.Cut() }},
	} {
		t.Run(name, func(t *testing.T) { in(t, model.Options{Nodes: 3}, func(w *world) { w.replaced(c.away, c.back) }) })
	}
}

func (w *world) replaced(away, back func(w *world, n *model.Node)) {
	old, leader := w.Node(0), w.Node(1)
	before := w.add(old, "s").Position
	away(w, old)
	w.Lead(leader)
	w.add(leader, "s")
	back(w, old)
	if at, err := w.newest(old, true); err != nil || at != before {
		w.Errorf("the old leader answers %d, %v, want %d from the past", at, err, before)
	}
	if err := w.within(100*time.Millisecond, old); !errors.Is(err, context.DeadlineExceeded) {
		w.Errorf("an append to the old leader: %v, want none to be answered", err)
	}
	time.Sleep(1400 * time.Millisecond)
	if old.Alive() {
		w.Error("the old leader's process goes on")
	}
	time.Sleep(2 * time.Second)
	_, err := w.newest(old, true)
	w.refused(err, model.NotFound, "Leader info available")
}

// An append that is on its way back when its leader resigns may be refused
// although it was made.
func TestAnAppendMayBeCanceledAndMade(t *testing.T) {
	options := three(3)
	options.Latency = 2 * time.Millisecond
	in(t, options, func(w *world) {
		canceled := 0
		for range 200 {
			leader := w.leader()
			events := w.Events()
			answer := make(chan error)
			go func() { answer <- w.within(time.Second, leader) }()
			for range 40 {
				if w.Events() > events {
					break
				}
				time.Sleep(100 * time.Microsecond)
			}
			w.Resign()
			var r *model.Refusal
			if err := <-answer; errors.As(err, &r) && r.Code == model.Aborted {
				canceled++
				if w.Events() == events {
					w.Error("it was not made")
				}
			}
		}
		if canceled < 20 {
			w.Errorf("%d were canceled", canceled)
		}
	})
}
