package projections_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// sparse is a store that does not say that its positions count events.
type sparse struct{ eventstore.Store }

// How far behind a projection is can be told in seconds on any engine, and
// concerns none that has nothing to do; in events where positions count them.
func TestLagIsTheAgeOfTheOldestEventThatIsNotApplied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, store := range map[string]eventstore.Store{"dense": w.store, "not dense": sparse{memory.New()}} {
		for _, p := range readmodels.All() {
			if _, err := w.admin.Exec(t.Context(), `INSERT INTO projection_checkpoints (name, version, position)
				VALUES ($1, $2, 0) ON CONFLICT (name) DO NOTHING`, p.Name, p.Version); err != nil {
				t.Fatal(err)
			}
		}
		organization, id := newOrganizationID(), newAgentID()
		old := draft(t, organization, time.Now().Add(-time.Hour), created(id, organization))
		if _, err := store.Append(t.Context(), domain.AgentStream(id), eventstore.NoStream(), old); err != nil {
			t.Fatal(err)
		}
		record(t, store, newStream(), organization, created(newAgentID(), organization))
		progress := projections.NewProgress(w.pool, store, readmodels.All(), projections.ProgressOptions{})
		if err := progress.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, s := range progress.Status() {
			want := map[string]time.Duration{"agents": time.Hour, "audit": time.Hour, "transparency": time.Hour}[s.Projection]
			if s.Behind < want || s.Behind > want+time.Minute && want > 0 || want == 0 && s.Behind != 0 {
				t.Errorf("%s: %s is behind by %v, want %v", name, s.Projection, s.Behind, want)
			}
			if standing := want > 0; s.Stalled != standing {
				t.Errorf("%s: %s counts as stalled: %t, want %t", name, s.Projection, s.Stalled, standing)
			}
		}
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(projections.NewCollector(progress))
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		told := map[string]bool{}
		for _, family := range families {
			told[family.GetName()] = true
			for _, m := range family.GetMetric() {
				projection := m.GetLabel()[0].GetValue()
				standing := projection == "agents" || projection == "audit" || projection == "transparency"
				if is := m.GetGauge().GetValue() == 1; family.GetName() == "agentidp_projection_stalled" && is != standing {
					t.Errorf("%s: the metric says of %s that it stands still: %t, want %t", name, projection, is, standing)
				}
			}
		}
		if !told["agentidp_projection_stalled"] || !told["agentidp_projection_lag_seconds"] || told["agentidp_projection_lag_events"] != (name == "dense") {
			t.Errorf("%s: the metrics are %v", name, told)
		}
	}
	progress := w.follow(t)
	waitAll(t, progress, 2)
	for _, s := range progress.Status() {
		if s.Behind != 0 || s.Stalled {
			t.Errorf("%s has applied everything and is behind by %v, stalled: %t", s.Projection, s.Behind, s.Stalled)
		}
	}
}
