package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/sentryagent/agentidp/eventstore"
)

// esdbReading measures reading the whole ledger through the engine, beside the
// bare client that reads the same pages and does nothing with them.
func (b *bench) esdbReading(ctx context.Context) error {
	const streams, each, rounds = 200, 250, 9
	store, bare, end, err := twoWays()
	if err != nil {
		return err
	}
	defer end()
	for range streams {
		from := newIssuer(newID())
		drafts := make([]eventstore.Draft, each)
		for i := range drafts {
			drafts[i] = from.draft()
		}
		if _, err := store.Append(ctx, from.stream(), eventstore.NoStream(), drafts...); err != nil {
			return err
		}
	}
	ways := []func(context.Context) (int, error){
		func(ctx context.Context) (n int, err error) {
			for _, err := range store.ReadAll(ctx, 0, eventstore.Filter{}) {
				if err != nil {
					return n, err
				}
				n++
			}
			return n, nil
		},
		func(ctx context.Context) (int, error) { return readBare(ctx, bare) },
	}
	rates := make([][]float64, len(ways))
	for round := range rounds + 1 { // the first to warm up
		for i, read := range ways {
			begin := time.Now()
			n, err := read(ctx)
			if err != nil {
				return err
			}
			if n < streams*each {
				return fmt.Errorf("%d events were read of %d", n, streams*each)
			}
			if round > 0 {
				rates[i] = append(rates[i], float64(n)/time.Since(begin).Seconds())
			}
		}
	}
	for i := range rates {
		slices.Sort(rates[i])
	}
	b.add(row{Name: "EventStoreDB, reading the whole ledger", Value: rates[0][rounds/2], Unit: "events/s",
		Baseline: "the bare client", Beside: rates[1][rounds/2], Target: &target{Value: 150_000}})
	return nil
}

// readBare reads $all by pages.
func readBare(ctx context.Context, bare *client.Client) (n int, err error) {
	const page = 4096
	for from := client.AllPosition(client.Start{}); ; {
		stream, err := bare.ReadAll(ctx, client.ReadAllOptions{From: from}, page)
		if err != nil {
			return n, err
		}
		got := 0
		for {
			e, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				stream.Close()
				return n, err
			}
			got++
			from = e.Event.Position
		}
		stream.Close()
		n += got
		if got < page {
			return n, nil
		}
	}
}
