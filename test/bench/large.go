package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/wait"
)

// large measures the server again, on a ledger with many events: the figures
// stay, and its memory does.
func (b *bench) large(ctx context.Context) (err error) {
	l, err := b.openLedger(ctx, largeLedger)
	if err != nil {
		return err
	}
	at := l.at
	err = b.fill(ctx, l, b.events)
	l.close()
	if err != nil {
		return err
	}
	begin := time.Now()
	s, err := b.startServer(ctx, at, config.AlgES256)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := b.awaitProjections(ctx, at); err != nil {
		return err
	}
	suffix := fmt.Sprintf(", after %s events", thousands(float64(b.events)))
	b.add(row{Name: "all read models from the beginning", Value: float64(b.events) / time.Since(begin).Seconds(), Unit: "events/s"})
	if err := b.sizes(ctx, at); err != nil {
		return err
	}
	t, err := b.newTenant(ctx, s, at)
	if err != nil {
		return err
	}
	got, floor, err := b.sendInTurns(ctx, b.tokenLoad(s, t, clients, agents), b.bareRSA)
	if err != nil {
		return err
	}
	b.addHTTP("token ES256, 64 clients, 64 agents"+suffix, got, bareRSA, floor, &target{Ratio: 1.6, P95: 30})
	if err := b.reads(ctx, s, t, config.AlgES256, suffix); err != nil {
		return err
	}
	b.add(row{Name: "  resident memory of the server", Value: residentMemory(s.cmd.Process.Pid) / mebibyte, Unit: "MiB"})
	return nil
}

// awaitProjections waits until the read models that take every event are
// where the ledger is.
func (b *bench) awaitProjections(ctx context.Context, at ledgerAt) error {
	return onDatabase(ctx, at.ownerURL, func(conn *pgx.Conn) error {
		const behind = `SELECT h.position - coalesce((SELECT min(position) FROM projection_checkpoints WHERE name IN ('audit', 'activity')), 0)
			FROM ledger_head h`
		const recheck, patience = 50 * time.Millisecond, 5 * time.Minute
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		for {
			var events int64
			if err := conn.QueryRow(ctx, behind).Scan(&events); err != nil {
				return err
			}
			const nearly = 1000
			if events < nearly {
				return nil
			}
			_ = wait.For(ctx, recheck)
		}
	})
}

// sizes adds what an event takes on disk, indexes included.
func (b *bench) sizes(ctx context.Context, at ledgerAt) error {
	const perEvent = `SELECT pg_total_relation_size($1::regclass)::float / (SELECT position FROM ledger_head)`
	return onDatabase(ctx, at.ownerURL, func(conn *pgx.Conn) error {
		for _, table := range []string{"events", "audit_events", "transparency_tiles"} {
			var bytes float64
			if err := conn.QueryRow(ctx, perEvent, table).Scan(&bytes); err != nil {
				return err
			}
			b.add(row{Name: "  on disk, " + table, Value: bytes, Unit: "bytes/event"})
		}
		return nil
	})
}
