package projections_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// Each round writes, waits and reads at once: on the node that runs the
// projections, and on one that does not.
func TestWaitNeverReturnsEarly(t *testing.T) {
	for name, elsewhere := range map[string]bool{"on the node that runs them": false, "on another node": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			progress := w.follow(t)
			if elsewhere {
				progress = projections.NewProgress(pgtest.Pool(t, w.ServerURL), w.store, readmodels.All(), projections.ProgressOptions{})
				run(t, progress)
			}
			organization := newOrganizationID()
			tenant := readmodels.InOrganization(organization)
			var slowest, total time.Duration
			const rounds = 200
			for i := range rounds {
				id := newAgentID()
				position := record(t, w.store, domain.AgentStream(id), organization, created(id, organization))
				if i%3 == 0 {
					// What the projection does not want comes in between, and it is waited for.
					position = record(t, w.store, domain.SeatsStream(organization), organization, domain.SeatTaken{OrganizationID: organization, AgentID: id})
				}
				start := time.Now()
				if err := progress.Wait(within(t, 20*time.Second), position, "agent.created"); err != nil {
					t.Fatalf("round %d: %v; %+v", i, err, progress.Status())
				}
				took := time.Since(start)
				slowest, total = max(slowest, took), total+took
				if _, err := w.queries.Agent(t.Context(), tenant, id); err != nil {
					t.Fatalf("round %d: after waiting for %d the agent is %v", i, position, err)
				}
			}
			t.Logf("waited %v on average, %v at most", total/rounds, slowest)
		})
	}
}

// A projection that none of the events concerns is at the head, whatever its
// checkpoint says and wherever it runs.
func TestIdleProjectionsAreWaitedForWithoutHanging(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	here := w.follow(t)
	there := projections.NewProgress(pgtest.Pool(t, w.ServerURL), w.store, readmodels.All(), projections.ProgressOptions{})
	run(t, there)
	organization := newOrganizationID()
	for i := range 50 {
		position := record(t, w.store, domain.SeatsStream(organization), organization, domain.SeatTaken{OrganizationID: organization, AgentID: newAgentID()})
		for name, progress := range map[string]*projections.Progress{"here": here, "there": there} {
			start := time.Now()
			if err := progress.WaitAll(within(t, 20*time.Second), position); err != nil {
				t.Fatalf("round %d, %s: %v; %+v", i, name, err, progress.Status())
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("round %d, %s: waited %v for projections that have nothing to do", i, name, took)
			}
		}
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	progress := w.follow(t)
	err := progress.Wait(within(t, 30*time.Millisecond), 1<<40, "agent.created")
	var behind *projections.BehindError
	if !errors.As(err, &behind) || !errors.Is(err, projections.ErrBehind) || !errors.Is(err, context.DeadlineExceeded) || behind.Halted {
		t.Errorf("got %v, want ErrBehind because of the deadline", err)
	}
	if err := progress.Wait(t.Context(), 1<<40, "token.issued"); err != nil {
		t.Errorf("no core read model wants token.issued, but waiting for it: %v", err)
	}
}

// A crash may lose rows that were committed without waiting for the disk. What
// is in memory must not pretend that they are still there.
func TestProgressForgetsWhatTheDatabaseMayHaveLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	progress := w.follow(t)
	organization, id := newOrganizationID(), newAgentID()
	position := record(t, w.store, domain.AgentStream(id), organization, created(id, organization))
	waitAll(t, progress, position)
	// The crash, in effect: transactions are lost, sessions end.
	w.empty(t)
	if _, err := w.admin.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename = 'agentidp'`); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the row is derived again", func() bool {
		_, err := w.queries.Agent(t.Context(), readmodels.AllOrganizations, id)
		return err == nil
	})
	waitAll(t, progress, position)
}

func TestCollectorReportsEveryProjection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	progress := w.follow(t)
	organization := newOrganizationID()
	position := record(t, w.store, newStream(), organization, created(newAgentID(), organization))
	waitAll(t, progress, position)
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(projections.NewCollector(progress)); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, family := range families {
		names = append(names, family.GetName())
		want := map[string]float64{"agentidp_projection_position": float64(position)}[family.GetName()]
		if n := len(family.GetMetric()); n != len(readmodels.All()) {
			t.Errorf("%s has %d series, want one for each projection", family.GetName(), n)
		}
		for _, m := range family.GetMetric() {
			if got := m.GetGauge().GetValue(); got != want {
				t.Errorf("%s %v is %v, want %v", family.GetName(), m.GetLabel(), got, want)
			}
		}
	}
	if got := strings.Join(names, " "); got != "agentidp_projection_halted agentidp_projection_lag_events agentidp_projection_lag_seconds agentidp_projection_position agentidp_projection_stalled" {
		t.Errorf("metrics are %s", got)
	}
}
