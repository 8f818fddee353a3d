package projections_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/projections"
)

// What a migration does for a read model, and another one when the read model
// gets a column.
const (
	makeNotes = `CREATE TABLE renewed_notes (position bigint PRIMARY KEY, organization_id uuid, stream text NOT NULL);
		CREATE INDEX notes_stream_idx ON renewed_notes (stream);
		REVOKE ALL ON renewed_notes FROM PUBLIC;
		GRANT SELECT ON renewed_notes TO agentidp_server;
		GRANT SELECT, INSERT, UPDATE, DELETE ON renewed_notes TO agentidp_projector;
		ALTER TABLE renewed_notes ENABLE ROW LEVEL SECURITY;
		CREATE POLICY tenant ON renewed_notes FOR SELECT TO agentidp_server
			USING (organization_id = nullif(current_setting('agentidp.organization', true), '')::uuid);
		CREATE POLICY projector ON renewed_notes TO agentidp_projector USING (true) WITH CHECK (true);
		INSERT INTO read_models VALUES ('renewed_notes')`
	reshapeNotes = `CREATE TABLE next.renewed_notes (position bigint PRIMARY KEY, organization_id uuid, stream text NOT NULL, actor text NOT NULL);
		CREATE INDEX notes_actor_idx ON next.renewed_notes (actor)`
)

// notes is a projection of which there are two versions.
func notes(version int, applied func()) projections.Projection {
	sql := `INSERT INTO renewed_notes (position, organization_id, stream) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
	if version == 2 {
		sql = `INSERT INTO renewed_notes (position, organization_id, stream, actor) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`
	}
	return projections.Projection{
		Name: "renewed_notes", Version: version, Core: true, Tables: []string{"renewed_notes"},
		Apply: func(ctx context.Context, tx pgx.Tx, events []follow.Event) error {
			applied()
			batch := &pgx.Batch{}
			for _, e := range events {
				args := []any{e.Position, e.Organization, e.Stream, e.Actor.ID}
				batch.Queue(sql, args[:version+2]...)
			}
			return tx.SendBatch(ctx, batch).Close()
		},
	}
}

// A newer server rebuilds what an older one goes on serving, and takes over.
func TestNewVersionIsRebuiltBesideTheOldOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := pgtest.Pool(t, w.OwnerURL)
	do := func(sql string) {
		t.Helper()
		if _, err := owner.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	do(makeNotes)
	old := notes(1, func() {})
	oldProgress := projections.NewProgress(w.pool, w.store, []projections.Projection{old}, projections.ProgressOptions{})
	run(t, oldProgress)
	w.node(t, "old", projections.RunnerOptions{Progress: oldProgress, HaltedRetry: 20 * time.Millisecond}, old)
	readers := w.readNotes(t, oldProgress)
	w.populate(t, 2000)
	readers.goOn(t)

	do(reshapeNotes)
	// The new version may begin, and is held up there.
	begun, goOn := make(chan struct{}), make(chan struct{})
	hold := sync.OnceFunc(func() {
		close(begun)
		<-goOn
	})
	newer := notes(2, hold)
	pool := pgtest.Pool(t, w.ServerURL)
	progress := projections.NewProgress(pool, w.store, []projections.Projection{newer}, projections.ProgressOptions{})
	run(t, progress)
	w.node(t, "newer", projections.RunnerOptions{Progress: progress}, newer)
	<-begun
	readers.goOn(t) // the old server reads, and its runner brings it what is new
	at := w.populate(t, 1)
	if err := progress.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if outdated := progress.Outdated(); len(outdated) != 1 || outdated[0] != "renewed_notes" {
		t.Errorf("before the rebuild the newer server takes %v for outdated, want renewed_notes", outdated)
	}
	if status := progress.Status()[0]; status.Position != 0 || status.Rebuild == nil || status.Rebuild.Version != 2 {
		t.Errorf("before the rebuild the newer server has %+v, want it at 0 with a rebuild under way", status)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(projections.NewCollector(progress))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var metrics []string
	for _, family := range families {
		metrics = append(metrics, family.GetName())
	}
	if told := strings.Join(metrics, " "); !contains(told, "agentidp_projection_rebuild_position", "agentidp_projection_rebuild_lag_events") {
		t.Errorf("during the rebuild the metrics are %s", told)
	}
	close(goOn)
	if err := progress.WaitAll(within(t, 30*time.Second), at); err != nil {
		t.Fatal(err)
	}
	if err := progress.Look(t.Context()); err != nil || len(progress.Outdated()) != 0 {
		t.Errorf("after the rebuild: outdated %v, %v", progress.Outdated(), err)
	}
	readers.goOn(t) // now what it reads is the newer server's work
	last := readers.end(t)
	if err := progress.WaitAll(within(t, 30*time.Second), last); err != nil {
		t.Fatal(err)
	}
	var rows, without int64
	if err := w.admin.QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE actor <> 'test') FROM renewed_notes`).Scan(&rows, &without); err != nil {
		t.Fatal(err)
	}
	if rows != int64(last) || without != 0 {
		t.Errorf("%d rows, %d without their actor; want %d and none", rows, without, last)
	}
	w.mustVerify(t, newer)
	for _, result := range projections.NewVerifier(w.pool, w.store, projections.VerifyOptions{}).Verify(t.Context(), old) {
		if result.Err == nil {
			t.Error("the old version was verified on the new one's table")
		}
	}
	if results := projections.NewRebuilder(w.pool, w.store, projections.RebuildOptions{}).Rebuild(t.Context(), old); results[0].Err == nil {
		t.Error("the old version was rebuilt over the new one")
	}
	if shape := fmt.Sprint(w.shape(t)); !contains(shape, "notes_actor_idx ON public.renewed_notes", "policy (public,renewed_notes,tenant", "policy (public,renewed_notes,projector") {
		t.Errorf("the new table lacks something:\n%s", shape)
	}
}

func contains(text string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// readNotes is a load of clients of the older server.
func (w *world) readNotes(t testing.TB, progress *projections.Progress) *load {
	t.Helper()
	pool := pgtest.Pool(t, w.ServerURL)
	return startLoad(t, func(ctx context.Context, l *load) error {
		organization := newOrganizationID()
		position := record(t, w.store, newStream(), organization, created(newAgentID(), organization))
		l.wrote(position)
		waiting, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if err := progress.WaitAll(waiting, position); err != nil {
			return err
		}
		return readNote(ctx, pool, position)
	})
}

func readNote(ctx context.Context, pool *pgxpool.Pool, position eventstore.Position) error {
	return pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{BeginQuery: `BEGIN; SET LOCAL ROLE agentidp_projector`}, func(tx pgx.Tx) error {
		var stream string
		if err := tx.QueryRow(ctx, `SELECT stream FROM renewed_notes WHERE position = $1`, position).Scan(&stream); err != nil {
			return fmt.Errorf("note at %d: %w", position, err)
		}
		return nil
	})
}
