package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sentryagent/agentidp/eventstore"
)

const largeLedger = "agentidp_large"

// appending measures durable appends of one event by many callers, each on a
// stream of its own, beside COPY of batches of the same rows into a table that
// has the ledger's columns, indexes and settings. The two take turns, so that
// whatever else the machine does meets both.
func (b *bench) appending(ctx context.Context) error {
	l, err := b.openLedger(ctx, largeLedger)
	if err != nil {
		return err
	}
	defer l.close()
	if _, err := l.owner.Exec(ctx, "CREATE TABLE raw (LIKE events INCLUDING ALL)"); err != nil {
		return err
	}
	for _, c := range []struct {
		callers, batch int
		aim            *target
	}{{64, 64, &target{Ratio: 0.4}}, {512, 500, &target{Ratio: 0.5}}} {
		if err := b.appendBeside(ctx, l, c.callers, c.batch, c.aim); err != nil {
			return err
		}
	}
	_, err = l.owner.Exec(ctx, "DROP TABLE raw")
	return err
}

func (b *bench) appendBeside(ctx context.Context, l *ledger, callers, batch int, aim *target) error {
	const events = 20_000
	rounds := int(b.duration/time.Second) / 2
	var appended, copied time.Duration
	for round := range rounds + 1 { // the first to warm up
		issuers := make([]issuer, callers)
		for i := range issuers {
			issuers[i] = newIssuer(newID())
		}
		begin := time.Now()
		if err := appendEach(ctx, l.store, issuers, events); err != nil {
			return err
		}
		appendedNow := time.Since(begin)
		rows, err := rawRows(issuers, events)
		if err != nil {
			return err
		}
		if _, err := l.owner.Exec(ctx, "TRUNCATE raw"); err != nil {
			return err
		}
		runtime.GC() // of the rows' making, not during the copying
		begin = time.Now()
		if err := copyRows(ctx, l, batch, rows); err != nil {
			return err
		}
		if round > 0 {
			appended += appendedNow
			copied += time.Since(begin)
		}
	}
	total := float64(rounds * events)
	b.add(row{Name: fmt.Sprintf("durable append, %d callers", callers), Value: total / appended.Seconds(), Unit: "events/s",
		Baseline: fmt.Sprintf("raw COPY of %d rows", batch), Beside: total / copied.Seconds(), Target: aim})
	return nil
}

func appendEach(ctx context.Context, store eventstore.Store, issuers []issuer, events int) error {
	errs := make([]error, len(issuers))
	var all sync.WaitGroup
	for i, from := range issuers {
		share := events / len(issuers)
		if i < events%len(issuers) {
			share++
		}
		all.Go(func() {
			for n := 0; n < share && errs[i] == nil; n++ {
				_, errs[i] = store.Append(ctx, from.stream(), eventstore.Exactly(int64(n)-1), from.draft())
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// rawRows makes the rows that appendEach stores, in need of nothing but to be
// written.
func rawRows(issuers []issuer, events int) ([][]any, error) {
	rows := make([][]any, events)
	for i := range rows {
		from := issuers[i%len(issuers)]
		d, revision := from.draft(), int64(i/len(issuers))
		record, hash, err := eventstore.Seal(d, from.stream(), revision, eventstore.Hash{})
		if err != nil {
			return nil, err
		}
		rows[i] = []any{int64(i) + 1, from.stream(), revision, pgtype.UUID{Bytes: d.ID, Valid: true}, d.Type,
			pgtype.UUID{Bytes: d.Organization, Valid: true}, d.Time, record, hash[:]}
	}
	return rows, nil
}

// copyRows copies rows in batches, one commit each.
func copyRows(ctx context.Context, l *ledger, batch int, rows [][]any) error {
	columns := []string{"position", "stream", "revision", "id", "type", "organization_id", "recorded_at", "record", "hash"}
	for some := range slices.Chunk(rows, batch) {
		if _, err := l.owner.CopyFrom(ctx, pgx.Identifier{"raw"}, columns, pgx.CopyFromRows(some)); err != nil {
			return err
		}
	}
	return nil
}
