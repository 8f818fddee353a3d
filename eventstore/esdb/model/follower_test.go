package model_test

import (
	"testing"
	"time"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
)

// A follower refuses what insists on the leader, but for a subscription from
// the end; what was subscribed to on a leader outlives its office.
func TestAFollowerServesSubscriptionsFromTheEnd(t *testing.T) {
	in(t, three(1), func(w *world) {
		first := w.add(w.Leader(), "s")
		follower := w.followers()[0]
		for _, from := range []model.Position{model.Start, {Commit: first.Position, Prepare: first.Position}} {
			_, err := follower.Subscribe(w.Context(), true, from, nil, model.Window{})
			w.refused(err, model.NotFound, "Leader info available")
		}
		old := w.Leader()
		onLeader, err := old.Subscribe(w.Context(), true, model.End, nil, model.Window{})
		if err != nil {
			w.Fatal(err)
		}
		onFollower, err := follower.Subscribe(w.Context(), true, model.End, nil, model.Window{})
		if err != nil {
			w.Fatal(err)
		}
		w.Resign()
		second := w.add(w.leaderThatIsNot(old), "t").Position
		for name, sub := range map[string]*model.Subscription{"leader": onLeader, "follower": onFollower} {
			for {
				m, err := sub.Receive(w.Context())
				if err != nil {
					w.Fatalf("on the %s: %v", name, err)
				}
				if m.Kind == model.EventAppeared && m.Event.Position == second {
					break
				}
			}
		}
	})
}

func (w *world) leaderThatIsNot(old *model.Node) *model.Node {
	for w.Leader() == old {
		time.Sleep(time.Millisecond)
	}
	return w.leader()
}

// Followers are behind now and then, by some milliseconds.
func TestFollowersAreBehindByMilliseconds(t *testing.T) {
	in(t, three(1), func(w *world) {
		follower := w.followers()[0]
		const rounds = 2000
		behind, most := 0, time.Duration(0)
		for range rounds {
			at := w.add(w.Leader(), "s").Position
			begin := time.Now()
			for {
				newest, err := w.newest(follower, false)
				if err != nil {
					w.Fatal(err)
				}
				if newest == at {
					break
				}
				time.Sleep(100 * time.Microsecond)
			}
			if took := time.Since(begin); took > 0 {
				behind, most = behind+1, max(most, took)
			}
		}
		if behind < rounds/10 || behind > rounds/3 || most < 5*time.Millisecond || most > 78*time.Millisecond {
			w.Errorf("behind in %d of %d tries, at most by %s", behind, rounds, most)
		}
	})
}

// What does not insist on the leader is passed on to it.
func TestAFollowerPassesAppendsOn(t *testing.T) {
	in(t, three(1), func(w *world) {
		follower := w.followers()[0]
		if done, err := follower.Append(w.Context(), false, "s", model.ExpectNoStream, w.events(1)); err != nil || done.Wrong {
			w.Errorf("an append to a follower: %+v, %v", done, err)
		}
		_, err := follower.Append(w.Context(), true, "s", model.ExpectAny, w.events(1))
		w.refused(err, model.NotFound, "Leader info available")
	})
}
