package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// rebuilding measures rebuilds of read models from a large ledger, beside
// reading the same rows and copying what the audit trail's table would hold.
func (b *bench) rebuilding(ctx context.Context) error {
	l, err := b.openVacuumed(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	begin := time.Now()
	events, err := copyTrail(ctx, l)
	if err != nil {
		return err
	}
	floor := float64(events) / time.Since(begin).Seconds()

	suffix := fmt.Sprintf(", %s events", thousands(float64(events)))
	beside := func(name string, took time.Duration, t *target) {
		b.add(row{Name: name, Value: float64(events) / took.Seconds(), Unit: "events/s",
			Baseline: "read and copy only", Beside: floor, Target: t})
	}
	var memory memoryWatch
	var held time.Duration
	rebuild := func(list ...projections.Projection) (time.Duration, error) {
		debug.FreeOSMemory() // so that the watch sees the rebuild's own
		begin := time.Now()
		results := projections.NewRebuilder(l.pool, l.store, projections.RebuildOptions{}).Rebuild(ctx, list...)
		for _, result := range results {
			held = max(held, result.Held)
		}
		return time.Since(begin), projections.RebuildError(results)
	}
	each := &target{Value: 100_000}
	for _, p := range []projections.Projection{readmodels.Audit(), readmodels.Activity()} {
		took, err := rebuild(p)
		if err != nil {
			return err
		}
		beside("rebuild "+p.Name+suffix, took, each)
	}
	stop := memory.watch()
	took, err := rebuild(readmodels.All()...)
	stop()
	if err != nil {
		return err
	}
	beside("rebuild all read models in one pass"+suffix, took, each)
	b.add(row{Name: "  heap in use, most in the last third", Value: memory.last / mebibyte, Unit: "MiB",
		Baseline: "in the first third", Beside: memory.first / mebibyte, Target: &target{Most: 1.5}})
	b.add(row{Name: "  longest switch", Value: milliseconds(held), Unit: "ms"})

	begin = time.Now()
	for _, result := range projections.NewVerifier(l.pool, l.store, projections.VerifyOptions{}).Verify(ctx, readmodels.All()...) {
		if result.Err != nil || result.Different > 0 {
			return fmt.Errorf("verify %s: %d rows differ: %w", result.Projection, result.Different, result.Err)
		}
	}
	beside("projections verify, all"+suffix, time.Since(begin), nil)
	return nil
}

// copyTrail reads all events and copies what the audit trail would know of them.
func copyTrail(ctx context.Context, l *ledger) (n int64, err error) {
	const table = `CREATE TABLE bench_floor (LIKE audit_events)`
	if _, err := l.owner.Exec(ctx, table); err != nil {
		return 0, err
	}
	reader, err := l.owner.Acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer reader.Release()
	rows, err := reader.Query(ctx, `SELECT position, stream, revision, id, type, organization_id, recorded_at, record, hash
		FROM events ORDER BY position`)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	n, err = l.owner.CopyFrom(ctx, pgx.Identifier{"bench_floor"}, []string{
		"position", "stream", "revision", "event_id", "action", "organization_id", "recorded_at", "agent_id", "outcome",
	}, pgx.CopyFromFunc(func() ([]any, error) {
		if !rows.Next() {
			return nil, rows.Err()
		}
		values, err := rows.Values()
		if err != nil {
			return nil, err
		}
		agent, _ := strings.CutPrefix(values[1].(string), "agent-")
		return append(values[:7], agent, "success"), nil
	}))
	if err != nil {
		return n, err
	}
	_, err = l.owner.Exec(ctx, `DROP TABLE bench_floor`)
	return n, err
}
