package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/replay/verify"
)

const mebibyte = 1 << 20

// verifying measures the proof of a large ledger, beside reading and hashing
// the same rows and doing nothing else with them, and how much memory it takes.
func (b *bench) verifying(ctx context.Context) error {
	l, err := b.openVacuumed(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	const rounds = 2
	var verified, hashed time.Duration
	var events int64
	var memory memoryWatch
	for range rounds {
		begin := time.Now()
		n, err := hashRows(ctx, l)
		if err != nil {
			return err
		}
		hashed += time.Since(begin)
		debug.FreeOSMemory() // so that the watch sees the verifier's own
		stop := memory.watch()
		begin = time.Now()
		report, err := verify.New(l.store, verify.Options{}).Verify(ctx, verify.Scope{})
		verified += time.Since(begin)
		stop()
		if err != nil {
			return err
		}
		if report.Break != nil || report.Checked != n {
			return fmt.Errorf("verified %d of %d events: %w", report.Checked, n, report.Break)
		}
		events = n
	}
	rate := func(took time.Duration) float64 { return float64(rounds*events) / took.Seconds() }
	b.add(row{Name: fmt.Sprintf("audit verify, %s events", thousands(float64(events))), Value: rate(verified), Unit: "events/s",
		Baseline: "read and hash only", Beside: rate(hashed), Target: &target{Ratio: 0.4, Value: 100_000}})
	b.add(row{Name: "  heap in use, most in the last third", Value: memory.last / mebibyte, Unit: "MiB",
		Baseline: "in the first third", Beside: memory.first / mebibyte, Target: &target{Most: 1.5}})
	b.add(row{Name: "  resident memory afterwards", Value: residentMemory(os.Getpid()) / mebibyte, Unit: "MiB",
		Baseline: "before", Beside: memory.resident / mebibyte})
	return b.proving(ctx, l, rate(hashed))
}

// openVacuumed opens the large ledger, filled and vacuumed, so that that does not
// happen while measuring.
func (b *bench) openVacuumed(ctx context.Context) (_ *ledger, err error) {
	l, err := b.openLedger(ctx, largeLedger)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if err := b.fill(ctx, l, b.events); err != nil {
		return nil, err
	}
	superuserURL, err := withDatabase(b.services.SuperuserURL, largeLedger)
	if err != nil {
		return nil, err
	}
	b.say("vacuuming, so that it does not happen while measuring")
	return l, onDatabase(ctx, superuserURL, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "VACUUM (FREEZE, ANALYZE) events", pgx.QueryExecModeSimpleProtocol)
		return err
	})
}

// memoryWatch is how the heap grew while something ran.
type memoryWatch struct {
	resident    float64 // before
	first, last float64 // most heap in use in the first and the last third
}

// watch looks at the heap until the function that it returns is called.
func (m *memoryWatch) watch() (stop func()) {
	m.resident = residentMemory(os.Getpid())
	var seen []float64
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		const interval = 20 * time.Millisecond
		tick := time.NewTicker(interval)
		defer tick.Stop()
		use := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		for {
			metrics.Read(use)
			seen = append(seen, float64(use[0].Value.Uint64()))
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}()
	return func() {
		close(done)
		<-ended
		third := len(seen)/3 + 1
		for i, bytes := range seen {
			if i < third {
				m.first = max(m.first, bytes)
			}
			if i >= len(seen)-third {
				m.last = max(m.last, bytes)
			}
		}
	}
}

func hashRows(ctx context.Context, l *ledger) (n int64, err error) {
	rows, err := l.pool.Query(ctx, `SELECT position, stream, revision, id, type, organization_id, recorded_at, record, hash
		FROM events ORDER BY position`)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		row := rows.RawValues()
		if hash := eventstore.HashOf(row[7]); string(hash[:]) != string(row[8]) {
			return n, fmt.Errorf("record %d does not hash to its hash", n+1)
		}
		n++
	}
	return n, rows.Err()
}
