package model_test

import (
	"testing"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
)

// What a position of no record is refused as.
func TestAMisplacedSubscriptionByVersion(t *testing.T) {
	for version, want := range map[string]*model.Refusal{
		"23.10": {Code: model.Unknown, Message: "Exception was thrown by handler."},
		"24.2":  {Code: model.InvalidArgument},
		"25.1":  {Code: model.InvalidArgument},
	} {
		t.Run(version, func(t *testing.T) {
			in(t, model.Options{Version: version}, func(w *world) {
				at := w.add(w.Leader(), "s").Position + 1
				w.add(w.Leader(), "s")
				_, err := w.Leader().Subscribe(w.Context(), true, model.Position{Commit: at, Prepare: at}, nil, model.Window{})
				w.refused(err, want.Code, want.Message)
				_, err = w.Leader().ReadAll(w.Context(), true, model.Position{Commit: at, Prepare: at}, false, 1, nil)
				w.refused(err, model.Unknown, "Unexpected ReadAllResult: Error")
			})
		})
	}
}

// Since 24.2 the metadata of $all may end subscriptions to it.
func TestTheMetadataOfAllEndSubscriptions(t *testing.T) {
	for version, ends := range map[string]bool{"23.10": false, "24.2": true} {
		t.Run(version, func(t *testing.T) {
			in(t, model.Options{Version: version}, func(w *world) {
				n := w.Leader()
				sub := w.subscribe(model.End)
				w.receive(sub)
				if _, err := n.SetMetadata(w.Context(), true, "$all", w.event().ID, model.Metadata{}); err != nil {
					w.Fatal(err)
				}
				w.add(n, "s")
				m, err := sub.Receive(w.Context()) // what was on its way may come
				if err == nil && ends {
					m, err = sub.Receive(w.Context())
				}
				if (err != nil) != ends {
					w.Errorf("%+v, %v, want an end: %t", m, err, ends)
				}
			})
		})
	}
}

// A version is set while the cluster runs, as by an upgrade.
func TestAVersionIsSet(t *testing.T) {
	in(t, model.Options{}, func(w *world) {
		if err := w.SetVersion("newest"); err == nil {
			w.Error("newest is no version")
		}
		if err := w.SetVersion("25.1"); err != nil || w.Version() != "25.1" {
			w.Errorf("version %s, %v", w.Version(), err)
		}
	})
}
