package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/postgres"
	"github.com/sentryagent/agentidp/internal/pgtest"
)

// benchData makes records of about 600 bytes.
var benchData = json.RawMessage(`{"credentialId":"01890a5d-ac96-774b-bcce-b302099a8060","jti":"01890a5d-ac96-774b-bcce-b302099a8061",` +
	`"scope":"agents:read agents:write","expiresAt":"2026-11-23T08:21:00Z"}`)

func benchDraft(b testing.TB) eventstore.Draft {
	id, err := uuid.NewV7()
	if err != nil {
		b.Error(err)
	}
	return eventstore.Draft{
		ID: id, Type: "token.issued", Schema: 1, Organization: uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8058"),
		Actor: eventstore.Actor{Kind: "agent", ID: "01890a5d-ac96-774b-bcce-b302099a8059"}, Time: time.Now(),
		Request: eventstore.Request{ID: "req-1", IP: "192.0.2.7", Agent: "curl/8.1"}, Data: benchData,
	}
}

// durable makes sure that the figures are of commits that reach the disk.
func durable(b *testing.B, pool *pgxpool.Pool) {
	b.Helper()
	var fsync string
	if err := pool.QueryRow(b.Context(), "SHOW fsync").Scan(&fsync); err != nil {
		b.Fatal(err)
	}
	if fsync != "on" {
		b.Fatal("the server runs with fsync=off: set AGENTIDP_TEST_DATABASE_URL (and AGENTIDP_TEST_REDIS_URL) to one that does not")
	}
}

// BenchmarkAppend measures durable appends of one event by many callers, each
// on streams of its own, beside COPY of batches of the same rows into a table
// that has the ledger's columns, indexes and settings. The two take turns, so
// that whatever else the machine does meets both.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct{ callers, batch int }{{64, 64}, {512, 500}} {
		b.Run(fmt.Sprintf("callers=%d", c.callers), func(b *testing.B) {
			db := newDatabase(b)
			pool := pgtest.Pool(b, db.OwnerURL)
			durable(b, pool)
			if _, err := pool.Exec(b.Context(), "CREATE TABLE raw (LIKE events INCLUDING ALL)"); err != nil {
				b.Fatal(err)
			}
			store := newStore(b, db.ServerURL, postgres.Options{})
			var position int64
			var appended, copied time.Duration
			const events = 20_000
			appendEvents(b, store, c.callers, events/4)
			copyRows(b, pool, c.batch, rawRows(b, c.callers, events/4, position))
			position += events / 4
			rounds := 0
			for b.Loop() {
				begin := time.Now()
				appendEvents(b, store, c.callers, events)
				appended += time.Since(begin)
				rows := rawRows(b, c.callers, events, position)
				position += events
				runtime.GC() // of the rows' making, not during the copying
				begin = time.Now()
				copyRows(b, pool, c.batch, rows)
				copied += time.Since(begin)
				rounds++
			}
			b.ReportMetric(float64(rounds*events)/appended.Seconds(), "appends/s")
			b.ReportMetric(float64(rounds*events)/copied.Seconds(), "raw-rows/s")
			b.ReportMetric(100*copied.Seconds()/appended.Seconds(), "%-of-raw")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func appendEvents(b *testing.B, store eventstore.Store, callers, events int) {
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			stream := "agent-" + uuid.NewString()
			share := events / callers
			if i < events%callers {
				share++
			}
			for n := range share {
				if _, err := store.Append(context.Background(), stream, eventstore.Exactly(int64(n)-1), benchDraft(b)); err != nil {
					b.Errorf("Append: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
}

// rawRows makes the rows that appendEvents stores, over as many streams, in
// need of nothing but to be written.
func rawRows(b *testing.B, streams, rows int, position int64) [][]any {
	names := make([]string, streams)
	for i := range names {
		names[i] = "agent-" + uuid.NewString()
	}
	data := make([][]any, rows)
	for i := range data {
		d := benchDraft(b)
		stream, revision := names[i%streams], int64(i/streams)
		record, hash, err := eventstore.Seal(d, stream, revision, eventstore.Hash{})
		if err != nil {
			b.Fatal(err)
		}
		data[i] = []any{position + int64(i) + 1, stream, revision, pgtype.UUID{Bytes: d.ID, Valid: true}, d.Type,
			pgtype.UUID{Bytes: d.Organization, Valid: true}, d.Time, record, hash[:]}
	}
	return data
}

// copyRows copies rows in batches, one commit each.
func copyRows(b *testing.B, pool *pgxpool.Pool, batch int, rows [][]any) {
	columns := []string{"position", "stream", "revision", "id", "type", "organization_id", "recorded_at", "record", "hash"}
	for some := range slices.Chunk(rows, batch) {
		if _, err := pool.CopyFrom(b.Context(), pgx.Identifier{"raw"}, columns, pgx.CopyFromRows(some)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerify reads the ledger through ReadAll and verifies its chain,
// beside reading the same rows and hashing their records with nothing else.
func BenchmarkVerify(b *testing.B) {
	const events, streams = 300_000, 3_000
	db := newDatabase(b)
	pool := pgtest.Pool(b, db.OwnerURL)
	store := newStore(b, db.ServerURL, postgres.Options{})
	fill(b, store, events, streams)
	if _, err := pool.Exec(b.Context(), "VACUUM ANALYZE events"); err != nil {
		b.Fatal(err)
	}
	var verified, hashed time.Duration
	rounds := 0
	for b.Loop() {
		begin := time.Now()
		verify(b, store, events)
		verified += time.Since(begin)
		begin = time.Now()
		hashRows(b, pool, events)
		hashed += time.Since(begin)
		rounds++
	}
	b.ReportMetric(float64(rounds*events)/verified.Seconds(), "events/s")
	b.ReportMetric(float64(rounds*events)/hashed.Seconds(), "raw-rows/s")
	b.ReportMetric(100*hashed.Seconds()/verified.Seconds(), "%-of-raw")
	b.ReportMetric(0, "ns/op")
}

// fill appends in large groups.
func fill(b *testing.B, store eventstore.Store, events, streams int) {
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range streams / 4 {
				drafts := make([]eventstore.Draft, events/streams)
				for i := range drafts {
					drafts[i] = benchDraft(b)
				}
				if _, err := store.Append(context.Background(), "agent-"+uuid.NewString(), eventstore.NoStream(), drafts...); err != nil {
					b.Errorf("Append: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
}

func verify(b *testing.B, store eventstore.Store, events int64) {
	chain := eventstore.NewChain(eventstore.ChainOptions{Dense: true})
	for e, err := range store.ReadAll(b.Context(), 0, eventstore.Filter{}) {
		if err != nil {
			b.Fatal(err)
		}
		if err := chain.Check(e); err != nil {
			b.Fatal(err)
		}
	}
	if chain.Count() != events {
		b.Fatalf("verified %d events, want %d", chain.Count(), events)
	}
}

func hashRows(b *testing.B, pool *pgxpool.Pool, events int) {
	rows, err := pool.Query(b.Context(), `SELECT position, stream, revision, id, type, organization_id, recorded_at, record, hash
		FROM events ORDER BY position`)
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		row := rows.RawValues()
		if hash := eventstore.HashOf(row[7]); string(hash[:]) != string(row[8]) {
			b.Fatal("a record does not hash to its hash")
		}
		n++
	}
	if rows.Err() != nil || n != events {
		b.Fatalf("%d rows, %v, want %d", n, rows.Err(), events)
	}
}
