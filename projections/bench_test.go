package projections_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// The cheapest question there is, beside a round trip that asks nothing.
func BenchmarkAgent(b *testing.B) {
	w := newWorld(b)
	progress := w.follow(b)
	organization := newOrganizationID()
	ids := make([]domain.AgentID, 100)
	var last eventstore.Position
	for i := range ids {
		ids[i] = newAgentID()
		last = record(b, w.store, domain.AgentStream(ids[i]), organization, created(ids[i], organization))
	}
	waitAll(b, progress, last)
	tenant := readmodels.InOrganization(organization)
	for _, clients := range []int{1, 16} {
		for name, ask := range map[string]func(int) error{
			"select 1": func(int) error {
				var one int
				return w.pool.QueryRow(b.Context(), "SELECT 1").Scan(&one)
			},
			"agent": func(i int) error {
				_, err := w.queries.Agent(b.Context(), tenant, ids[i%len(ids)])
				return err
			},
			"agent as operator": func(i int) error {
				_, err := w.queries.Agent(b.Context(), readmodels.AllOrganizations, ids[i%len(ids)])
				return err
			},
		} {
			b.Run(fmt.Sprintf("%s, %d clients", name, clients), func(b *testing.B) {
				b.SetParallelism(clients / 2)
				if clients == 1 {
					for i := 0; b.Loop(); i++ {
						if err := ask(i); err != nil {
							b.Fatal(err)
						}
					}
				} else {
					b.RunParallel(func(pb *testing.PB) {
						for i := 0; pb.Next(); i++ {
							if err := ask(i); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "q/s")
			})
		}
	}
}

// BenchmarkRebuild derives read models afresh from a ledger of issuances,
// beside reading and hashing the same rows and doing nothing with them, and
// beside live read models that begin with the ledger.
func BenchmarkRebuild(b *testing.B) {
	const events = 100_000
	w := newWorld(b)
	organization, agents := newOrganizationID(), make([]domain.AgentID, 50)
	for i := range agents {
		agents[i] = newAgentID()
	}
	var fill sync.WaitGroup
	for i := range agents {
		fill.Go(func() {
			credential := newCredentialID()
			for range events / len(agents) / 100 {
				facts := make([]domain.Event, 100)
				for j := range facts {
					facts[j] = issued(agents[i], credential)
				}
				record(b, w.store, domain.AgentStream(agents[i]), organization, facts...)
			}
		})
	}
	fill.Wait()
	if _, err := w.admin.Exec(b.Context(), `VACUUM ANALYZE events`); err != nil {
		b.Fatal(err)
	}
	rate := func(b *testing.B) { b.ReportMetric(events*float64(b.N)/b.Elapsed().Seconds(), "events/s") }
	b.Run("read only", func(b *testing.B) {
		for b.Loop() {
			n := 0
			for e, err := range w.store.ReadAll(b.Context(), 0, eventstore.Filter{}) {
				if err != nil || eventstore.HashOf(e.Record) != e.Hash {
					b.Fatal(err)
				}
				n++
			}
			if n != events {
				b.Fatalf("%d events", n)
			}
		}
		rate(b)
	})
	for _, list := range [][]projections.Projection{{readmodels.Audit()}, {readmodels.Activity()}, readmodels.All()} {
		name := list[0].Name
		if len(list) > 1 {
			name = "all"
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				w.rebuild(b, projections.RebuildOptions{}, list...)
			}
			rate(b)
		})
	}
	b.Run("live, all", func(b *testing.B) {
		for b.Loop() {
			w.empty(b)
			progress := projections.NewProgress(w.pool, w.store, readmodels.All(), projections.ProgressOptions{})
			stop := run(b, projections.NewRunner(w.pool, w.store, readmodels.All(), projections.RunnerOptions{Progress: progress}))
			waitAll(b, progress, events)
			stop()
		}
		rate(b)
	})
}

// BenchmarkAuditEvents lists pages of a trail of many events.
func BenchmarkAuditEvents(b *testing.B) {
	const events = 200_000
	w := newWorld(b)
	organization, agent := newOrganizationID(), newAgentID()
	const fill = `INSERT INTO audit_events SELECT n, n, now() - (300000 - n) * interval '1 second', gen_random_uuid(), $1, $2,
		CASE WHEN n % 1000 = 0 THEN 'agent.updated' ELSE 'token.issued' END, 'success', 'agent-x' FROM generate_series(1, $3::int) n`
	if _, err := w.admin.Exec(b.Context(), fill, organization.UUID, agent.UUID, events); err != nil {
		b.Fatal(err)
	}
	const count = `INSERT INTO audit_counts SELECT organization_id, (recorded_at AT TIME ZONE 'UTC')::date, action, outcome, count(*), max(position)
		FROM audit_events GROUP BY 1, 2, 3, 4`
	if _, err := w.admin.Exec(b.Context(), count); err != nil {
		b.Fatal(err)
	}
	if _, err := w.admin.Exec(b.Context(), `VACUUM ANALYZE audit_events`, pgx.QueryExecModeSimpleProtocol); err != nil {
		b.Fatal(err)
	}
	tenant := readmodels.InOrganization(organization)
	for name, f := range map[string]readmodels.AuditFilter{
		"all":                {},
		"all, without total": {WithoutTotal: true},
		"an agent's":         {AgentID: agent, WithoutTotal: true},
		"a rare action":      {Action: "agent.updated"},
		"an old hour": {From: time.Now().Add(-200000 * time.Second), To: time.Now().Add(-196400 * time.Second),
			NotBefore: time.Now().AddDate(0, 0, -90)},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := w.queries.AuditEvents(b.Context(), tenant, f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
