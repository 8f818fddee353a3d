package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// describeMachine notes what the figures were measured on. It refuses to
// measure durability that is none.
func (b *bench) describeMachine(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, b.services.SuperuserURL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var version, fsync, synchronous string
	const ask = `SELECT current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit')`
	if err := conn.QueryRow(ctx, ask).Scan(&version, &fsync, &synchronous); err != nil {
		return err
	}
	if fsync != "on" || synchronous != "on" {
		return fmt.Errorf("PostgreSQL runs with fsync=%s and synchronous_commit=%s: its commits are not durable", fsync, synchronous)
	}
	synced, err := b.fsyncLatency()
	if err != nil {
		return err
	}
	b.Machine = []fact{
		{"cores", fmt.Sprintf("%d (GOMAXPROCS %d)", runtime.NumCPU(), runtime.GOMAXPROCS(0))},
		{"Go", runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH},
		{"PostgreSQL", version + ", fsync on, synchronous_commit on"},
		{"fsync", fmt.Sprintf("8 KiB in %.2f ms (median), %.2f ms (p95)", milliseconds(synced.P50), milliseconds(synced.P95))},
		{"measured", fmt.Sprintf("each for %s after %s of warming up, in turns with its baseline; %s", b.duration, b.warmUp, time.Now().UTC().Format(time.RFC3339))},
	}
	return nil
}

// fsyncLatency writes pages beside PostgreSQL's data, each made durable.
func (b *bench) fsyncLatency() (l struct{ P50, P95 time.Duration }, err error) {
	const pages = 200
	file, err := os.Create(filepath.Join(b.dir, "fsync-probe"))
	if err != nil {
		return l, err
	}
	defer os.Remove(file.Name())
	page := make([]byte, 8<<10)
	took := make([]time.Duration, pages)
	for i := range took {
		begin := time.Now()
		_, writeErr := file.Write(page)
		if err := errors.Join(writeErr, file.Sync()); err != nil {
			return l, errors.Join(err, file.Close())
		}
		took[i] = time.Since(begin)
	}
	slices.Sort(took)
	l.P50, l.P95 = took[pages/2], took[pages*95/100]
	return l, file.Close()
}
