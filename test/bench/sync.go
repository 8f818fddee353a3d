package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sentryagent/agentidp/eventstore/postgres"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/server/stores"
)

// tokenCheck measures what it costs to know that a token has not been revoked
// before now on any node: a look at the ledger's head, shared by all who ask
// at once, beside a question to Redis.
func (b *bench) tokenCheck(ctx context.Context) error {
	settings, err := b.config(b.ownLedger())
	if err != nil {
		return err
	}
	pool, err := stores.OpenDatabase(ctx, settings)
	if err != nil {
		return err
	}
	defer pool.Close()
	store := postgres.New(ctx, pool, postgres.Options{})
	defer store.Close()
	var looks, callers atomic.Int64
	revocations := revocation.New(store, revocation.Options{
		Observe: func(o revocation.Observation) {
			looks.Add(1)
			callers.Add(int64(o.Callers))
		},
	})
	options, err := redis.ParseURL(b.services.RedisURL)
	if err != nil {
		return err
	}
	options.PoolSize = clients
	client := redis.NewClient(options)
	defer client.Close()
	if err := client.Set(ctx, "revoked:none", "no", 0).Err(); err != nil {
		return err
	}

	asked, err := b.ask(ctx, func(ctx context.Context) error { return client.Get(ctx, "revoked:none").Err() })
	if err != nil {
		return err
	}
	synced, err := b.ask(ctx, func(ctx context.Context) error {
		_, err := revocations.Sync(ctx)
		return err
	})
	if err != nil {
		return err
	}
	b.add(row{Name: "token check: ledger sync, 64 callers", Value: synced.rate, Unit: "/s", Latency: &synced.latency,
		Baseline: "Redis GET", Beside: asked.rate})
	b.add(row{Name: "  reads of the ledger for 1,000 checks", Value: 1000 * float64(looks.Load()) / float64(max(1, callers.Load())), Unit: "reads"})
	b.add(row{Name: "  Redis GET, 64 callers", Value: asked.rate, Unit: "/s", Latency: &asked.latency})
	return nil
}

// ask has many callers ask the same again and again.
func (b *bench) ask(ctx context.Context, question func(context.Context) error) (sample, error) {
	begin := time.Now().Add(b.warmUp / 2)
	end := begin.Add(b.duration / 2)
	took, errs := make([][]time.Duration, clients), make([]error, clients)
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			for {
				sent := time.Now()
				if sent.After(end) {
					return
				}
				if errs[i] = question(ctx); errs[i] != nil {
					return
				}
				if received := time.Now(); received.After(begin) && received.Before(end) {
					took[i] = append(took[i], received.Sub(sent))
				}
			}
		})
	}
	all.Wait()
	return summarize(meeting{took: slices.Concat(took...), length: end.Sub(begin)}), errors.Join(errs...)
}
