package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
	"github.com/sentryagent/agentidp/internal/config"
)

// callTakes is what is added to each call of the event store of the tests, so
// that calls one after another cost what they cost with a network and a disk.
const callTakes = time.Millisecond

// engines are two servers that are the same but for where their ledger is.
type engines struct {
	cluster          *wiretest.Cluster
	esdb, postgres   *node
	esdbs, postgress *tenant // their tenants

	atESDB, atPostgres ledgerAt
}

// onBothEngines starts a server on each engine, with ledgers of their own.
func (b *bench) onBothEngines(ctx context.Context, name string, measured func(*engines) error, settings ...string) (err error) {
	e := &engines{}
	if e.cluster, err = wiretest.New(1); err != nil {
		return err
	}
	defer e.cluster.Close()
	start := func(database, esdbURL string, at *ledgerAt) (*node, *tenant, error) {
		var err error
		if *at, err = b.migrated(ctx, database); err != nil {
			return nil, nil, err
		}
		at.esdbURL = esdbURL
		s, err := b.startServer(ctx, *at, config.AlgES256, settings...)
		if err != nil {
			return nil, nil, err
		}
		t, err := b.newTenant(ctx, s, *at)
		if err != nil {
			return nil, nil, errors.Join(err, s.stop())
		}
		return s, t, nil
	}
	if e.postgres, e.postgress, err = start(name+"_postgres", "", &e.atPostgres); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.postgres.stop()) }()
	if e.esdb, e.esdbs, err = start(name+"_esdb", e.cluster.URL(), &e.atESDB); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.esdb.stop()) }()
	e.cluster.Delay(callTakes)
	return measured(e)
}

// esdbServer measures the product on an event store of which each call takes a
// millisecond, beside the product on PostgreSQL.
func (b *bench) esdbServer(ctx context.Context) error {
	return b.onBothEngines(ctx, "agentidp_calls", func(e *engines) error {
		for _, m := range []struct {
			name    string
			clients int
			here    load
			beside  load
			aim     *target
		}{
			{"token ES256, EventStoreDB, 64 clients", clients,
				b.tokenLoad(e.esdb, e.esdbs, clients, agents), b.tokenLoad(e.postgres, e.postgress, clients, agents), &target{Ratio: 0.6}},
			{"introspection (ES256), EventStoreDB, 64 clients", clients,
				e.esdbs.introspections(e.esdb, clients), e.postgress.introspections(e.postgres, clients), &target{Ratio: 0.9}},
			{"token ES256, EventStoreDB, one client", 1,
				b.tokenLoad(e.esdb, e.esdbs, 1, 1), b.tokenLoad(e.postgres, e.postgress, 1, 1), nil},
			{"introspection (ES256), EventStoreDB, one client", 1,
				e.esdbs.introspections(e.esdb, 1), e.postgress.introspections(e.postgres, 1), nil},
		} {
			var calls calls
			got, beside, err := b.medians(ctx, e.esdb, m.name, m.here, m.beside, calls.of(e.cluster))
			if err != nil {
				return err
			}
			b.addHTTP(m.name, got, "PostgreSQL", beside.rate, m.aim)
			if m.clients == 1 && m.here.contains == tokenAnswer {
				b.add(row{Name: "  its latency, median", Value: got.latency.P50, Unit: "ms", Baseline: "PostgreSQL", Beside: beside.latency.P50,
					Target: &target{Under: 2.5}})
			}
			if m.here.contains == tokenAnswer {
				b.add(row{Name: "  calls of the event store for each", Value: calls.each(), Unit: "calls", Target: &target{Under: mostCalls[m.clients]}})
			} else {
				b.add(row{Name: "  calls of the event store for each", Value: calls.each(), Unit: "calls"})
			}
		}
		return b.esdbDrops(ctx, e)
	})
}

// mostCalls is how many calls a token may take, by the number of clients.
var mostCalls = map[int]float64{1: 2.01, clients: 1.1}

func (t *tenant) introspections(s *node, clients int) load {
	return load{address: s.address, requests: t.requests(clients, agents, t.introspectRequest), contains: `"active":true`}
}

// calls counts those of a cluster while a load runs.
type calls struct {
	cluster         *wiretest.Cluster
	before          int
	counted, served int
}

func (c *calls) of(cluster *wiretest.Cluster) *calls { c.cluster = cluster; return c }

func (c *calls) begin() { c.before = c.cluster.Calls() }

// end takes the answers there were since begin.
func (c *calls) end(answers int) {
	c.counted += c.cluster.Calls() - c.before
	c.served += answers
}

func (c *calls) each() float64 { return float64(c.counted) / float64(max(c.served, 1)) }

// stretches is how often two loads take turns for the medians of both.
const stretches = 5

// medians has two loads take turns, and gives the medians of their rates and of
// their latencies. The calls are counted that the first of them takes.
func (b *bench) medians(ctx context.Context, s *node, name string, here, beside load, counted *calls) (got, other sample, err error) {
	if b.profile != "" {
		got, _, err = b.profiled(ctx, s, name, here, nil)
		return got, sample{}, err
	}
	turns := 2*stretches + 1
	if b.quick {
		turns = stretches
	}
	var heres, others []sample
	for turn := range turns {
		warmUp := b.warmUp / 4
		if turn == 0 {
			warmUp = b.warmUp
		}
		m, err := b.send(ctx, here, warmUp, b.duration/stretches)
		if err != nil {
			return got, other, fmt.Errorf("%s: %w", name, err)
		}
		heres = append(heres, summarize(m))
		if m, err = b.send(ctx, beside, warmUp, b.duration/stretches); err != nil {
			return got, other, fmt.Errorf("%s, beside: %w", name, err)
		}
		others = append(others, summarize(m))
	}
	counted.begin()
	m, err := b.send(ctx, here, 0, b.duration/stretches)
	if err != nil {
		return got, other, err
	}
	counted.end(len(m.took) + len(here.requests)) // each client has one under way when the time is up
	return middle(heres), middle(others), nil
}

// middle is made of the medians of some samples.
func middle(samples []sample) sample {
	of := func(value func(sample) float64) float64 {
		values := make([]float64, len(samples))
		for i, s := range samples {
			values[i] = value(s)
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return sample{
		rate: of(func(s sample) float64 { return s.rate }),
		latency: latency{
			P50: of(func(s sample) float64 { return s.latency.P50 }),
			P95: of(func(s sample) float64 { return s.latency.P95 }),
			P99: of(func(s sample) float64 { return s.latency.P99 }),
		},
		client: of(func(s sample) float64 { return s.client }),
	}
}
