package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
)

// eventStoreDB measures the engine for EventStoreDB, and the product on it.
func (b *bench) eventStoreDB(ctx context.Context) error {
	if err := b.esdbServer(ctx); err != nil {
		return err
	}
	if err := b.esdbReading(ctx); err != nil {
		return err
	}
	return b.esdbAppending(ctx)
}

// esdbAppending measures appends through the engine, each on the stream of its
// caller, beside the bare client that sends the same bytes to the same server. The
// server is the one of the tests, in this process and in memory: what is measured
// is the engine and the wire, not a database.
func (b *bench) esdbAppending(ctx context.Context) error {
	store, bare, end, err := twoWays()
	if err != nil {
		return err
	}
	defer end()
	if _, err := store.Head(ctx); err != nil { // there is a connection
		return err
	}
	if err := b.esdbMedian(ctx, store, bare); err != nil {
		return err
	}
	return b.esdbMany(ctx, store, bare)
}

// twoWays starts a wire server and gives the engine on it and the bare client.
func twoWays() (store *esdb.Store, bare *client.Client, end func(), err error) {
	cluster, err := wiretest.New(1)
	if err != nil {
		return nil, nil, nil, err
	}
	if store, err = esdb.New(cluster.URL(), esdb.Options{}); err == nil {
		if bare, err = cluster.Client(); err == nil {
			return store, bare, func() { _ = bare.Close(); store.Close(); cluster.Close() }, nil
		}
		store.Close()
	}
	cluster.Close()
	return nil, nil, nil, err
}

// toEngine and toServer are one caller's way to append.
func toEngine(store eventstore.Store) func() func(context.Context) error {
	return func() func(context.Context) error {
		from, revision := newIssuer(newID()), int64(-1)
		return func(ctx context.Context) error {
			appended, err := store.Append(ctx, from.stream(), eventstore.Exactly(revision), from.draft())
			revision = appended.Revision
			return err
		}
	}
}

func toServer(bare *client.Client) func() func(context.Context) error {
	return func() func(context.Context) error {
		from, revision := newIssuer(newID()), int64(-1)
		return func(ctx context.Context) error {
			d := from.draft()
			record, hash, err := eventstore.Seal(d, from.stream(), revision+1, eventstore.Hash{})
			if err != nil {
				return err
			}
			expected := client.ExpectedRevision(client.NoStream{})
			if revision >= 0 {
				expected = client.Revision(uint64(revision))
			}
			revision++
			const metadata = `{"format":"agentidp.event/1","id":"%s","organization":"%s","time":"%s","hash":"%s"}`
			_, err = bare.AppendToStream(ctx, from.stream(), client.AppendToStreamOptions{ExpectedRevision: expected}, client.EventData{
				EventID: uuid.New(), EventType: d.Type, ContentType: client.ContentTypeJson, Data: record,
				Metadata: fmt.Appendf(nil, metadata, d.ID, d.Organization, d.Time.Format(time.RFC3339Nano), hash),
			})
			return err
		}
	}
}

// esdbMedian has one caller append to the one and the other in turn.
func (b *bench) esdbMedian(ctx context.Context, store eventstore.Store, bare *client.Client) error {
	ways := []func(context.Context) error{toEngine(store)(), toServer(bare)()}
	took := make([][]time.Duration, len(ways))
	for end := time.Now().Add(b.duration); time.Now().Before(end); {
		for i, appendOne := range ways {
			begin := time.Now()
			if err := appendOne(ctx); err != nil {
				return err
			}
			took[i] = append(took[i], time.Since(begin))
		}
	}
	medians := make([]float64, len(ways))
	for i := range took {
		medians[i] = median(took[i])
	}
	b.add(row{Name: "EventStoreDB append, 1 caller, median", Value: medians[0], Unit: "ms",
		Baseline: "the bare client", Beside: medians[1], Target: &target{Most: (medians[1] + 1) / medians[1]}})
	return nil
}

// esdbMany has 64 callers append to the one and the other in turn.
func (b *bench) esdbMany(ctx context.Context, store eventstore.Store, bare *client.Client) error {
	const callers, events = 64, 6_400
	rounds := max(int(b.duration/time.Second)/2, 1)
	var spent [2]time.Duration
	for round := range rounds + 1 { // the first to warm up
		for i, way := range []func() func(context.Context) error{toEngine(store), toServer(bare)} {
			begin := time.Now()
			if err := appendBy(ctx, callers, events/callers, way); err != nil {
				return err
			}
			if round > 0 {
				spent[i] += time.Since(begin)
			}
		}
	}
	total := float64(rounds * events)
	b.add(row{Name: fmt.Sprintf("EventStoreDB append, %d callers", callers), Value: total / spent[0].Seconds(), Unit: "events/s",
		Baseline: "the bare client", Beside: total / spent[1].Seconds(), Target: &target{Value: 5_000}})
	return nil
}

func appendBy(ctx context.Context, callers, each int, way func() func(context.Context) error) error {
	errs := make([]error, callers)
	var all sync.WaitGroup
	for i := range callers {
		appendOne := way()
		all.Go(func() {
			for n := 0; n < each && errs[i] == nil; n++ {
				errs[i] = appendOne(ctx)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
