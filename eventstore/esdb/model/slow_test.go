package model_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
)

func (w *world) same(what string, got, want any) {
	w.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		w.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func (w *world) receive(sub *model.Subscription) model.Message {
	w.Helper()
	m, err := sub.Receive(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return m
}

func (w *world) subscribe(after model.Position) *model.Subscription {
	w.Helper()
	sub, err := w.Leader().Subscribe(w.Context(), true, after, &model.Filter{ByType: true, Prefixes: []string{"a."}}, model.Window{Events: 1000, Times: 1})
	if err != nil {
		w.Fatal(err)
	}
	return sub
}

// A live subscriber that is more than 32 events behind gets those that are on
// their way, and then is dropped.
func TestASlowSubscriberIsDropped(t *testing.T) {
	in(t, model.Options{}, func(w *world) {
		sub := w.subscribe(model.End)
		if m := w.receive(sub); m.Kind != model.CaughtUp {
			w.Fatalf("%+v, want that it has caught up", m)
		}
		for range 32 {
			w.add(w.Leader(), "s")
		}
		for range 32 {
			w.receive(sub)
		}
		for range 33 {
			w.add(w.Leader(), "s")
		}
		for range 32 {
			w.receive(sub)
		}
		for range 2 {
			_, err := sub.Receive(w.Context())
			w.refused(err, model.Aborted, "Operation timed out: Consumer too slow to handle event while live. Client resubscription required.")
		}
	})
}

// The same while it goes from history to live: what is written meanwhile waits
// as well.
func TestASlowSubscriberIsDroppedAtTheEndOfHistory(t *testing.T) {
	in(t, model.Options{}, func(w *world) {
		for range 5 {
			w.add(w.Leader(), "s")
		}
		sub := w.subscribe(model.Start)
		w.receive(sub)
		for range 33 {
			w.add(w.Leader(), "s")
		}
		for range 4 {
			w.receive(sub)
		}
		_, err := sub.Receive(w.Context())
		w.refused(err, model.Aborted, "Operation timed out: Consumer too slow to handle event while transitioning to live. Client resubscription required.")
	})
}

// Since 24.2 nobody is dropped: the server says that the subscriber fell behind,
// goes back to history, and says when that is over. Checkpoints come in between.
func TestNewerVersionsFallBack(t *testing.T) {
	for _, version := range []string{"24.2", "24.10", "25.1"} {
		t.Run(version, func(t *testing.T) {
			in(t, model.Options{Version: version}, func(w *world) {
				sub := w.subscribe(model.End)
				seen, told := map[int64]bool{}, ""
				w.receive(sub)
				for range 100 {
					w.add(w.Leader(), "s")
				}
				for len(seen) < 100 || !strings.HasSuffix(told, "C") {
					switch m := w.receive(sub); m.Kind {
					case model.EventAppeared:
						seen[m.Event.Revision] = true
					case model.CaughtUp:
						told += "C"
					case model.FellBehind:
						told += "F"
					case model.CheckpointReached:
						told += "."
						if beyond := m.Position == model.End; beyond && version != "24.10" {
							w.Errorf("checkpoint %+v", m.Position)
						}
					}
				}
				w.same("told", strings.ReplaceAll(told, ".", ""), "FC")
				if !strings.Contains(told, ".") {
					w.Errorf("no checkpoint between history and live: %s", told)
				}
			})
		})
	}
}

// 24.10 named the end of the log, a position that the next event takes: whoever
// begins behind it never sees that.
func TestACheckpointMayBeThePositionOfTheNextEvent(t *testing.T) {
	in(t, model.Options{Version: "24.10"}, func(w *world) {
		ends, next := 0, 0
		for range 40 {
			w.add(w.Leader(), "s")
			sub, last := w.subscribe(model.Start), uint64(0)
			for {
				m := w.receive(sub)
				if m.Kind == model.EventAppeared {
					last = m.Event.Position
				}
				if m.Kind == model.CaughtUp {
					break
				}
				if m.Kind != model.CheckpointReached {
					continue
				}
				if m.Position == model.End {
					ends++
				} else if m.Position.Commit > last && w.add(w.Leader(), "s").Position == m.Position.Commit {
					next++
					following := w.add(w.Leader(), "s").Position
					if got := w.first(m.Position).Position; got != following {
						w.Errorf("a subscription from %d begins with %d, want %d", m.Position.Commit, got, following)
					}
				}
			}
		}
		if ends == 0 || next == 0 {
			w.Errorf("%d checkpoints beyond everything, %d at the end of the log, want both", ends, next)
		}
	})
}
