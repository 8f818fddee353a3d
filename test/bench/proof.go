package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/gzip"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay/bundle"
	"github.com/sentryagent/agentidp/replay/verify"
)

// proving measures verification by the transparency log: of the running ledger,
// of what is new in it, and of a bundle that was exported from it, offline.
// hashed is what reading and hashing the rows reaches.
func (b *bench) proving(ctx context.Context, l *ledger, hashed float64) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	b.say("logging and signing")
	if err := logEvents(ctx, l, 0); err != nil {
		return err
	}
	signer := transparency.NewSigner(l.pool, l.store, transparency.SignerOptions{
		Host: "bench.test", Key: key, Memory: transparency.OpenMemory(filepath.Join(b.dir, "checkpoints")),
	})
	if _, err := signer.SignAll(ctx); err != nil {
		return err
	}
	verifier := verify.New(l.store, verify.Options{Logs: transparency.NewLogs(l.pool), VerifierKey: signer.VerifierKey, Pool: l.pool})
	events := thousands(float64(b.events))
	verifyNew := func() (verify.Report, error) {
		report, err := verifier.VerifyNew(ctx)
		if err != nil {
			return report, err
		}
		return report, verifier.Remember(ctx, report)
	}
	full, err := b.timed(verifyNew)
	if err != nil {
		return err
	}
	b.add(row{Name: fmt.Sprintf("verify --live, %s events", events), Value: full.rate(), Unit: "events/s",
		Baseline: "read and hash only", Beside: hashed, Target: &target{Value: 100_000}})
	b.addMemory(full.memory)

	const news = 1_000
	if err := b.fill(ctx, l, b.events+news); err != nil {
		return err
	}
	if err := logEvents(ctx, l, eventstore.Position(b.events)); err != nil {
		return err
	}
	fresh, err := b.timed(verifyNew)
	if err != nil || fresh.checked != news {
		return fmt.Errorf("verified %d new events of %d: %w", fresh.checked, news, err)
	}
	b.add(row{Name: fmt.Sprintf("verify --live --incremental, %s new", thousands(news)), Value: milliseconds(fresh.took), Unit: "ms",
		Baseline: "all of them", Beside: milliseconds(full.took), Target: &target{Most: 0.05}})
	return b.offline(ctx, l, signer, events)
}

// offline exports the ledger and verifies the bundle.
func (b *bench) offline(ctx context.Context, l *ledger, signer *transparency.Signer, events string) (err error) {
	path := filepath.Join(b.dir, "ledger.bundle")
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(path)) }()
	exporter := &bundle.Exporter{Store: l.store, Logs: transparency.NewLogs(l.pool), VerifierKey: signer.VerifierKey}
	begin := time.Now()
	manifest, err := exporter.Export(ctx, file, domain.OrganizationID{})
	if err != nil {
		return err
	}
	b.add(row{Name: fmt.Sprintf("ledger export, %s events", events), Value: float64(manifest.Events) / time.Since(begin).Seconds(), Unit: "events/s"})

	begin = time.Now()
	lines, err := hashBundle(path)
	if err != nil {
		return err
	}
	hashed := float64(lines) / time.Since(begin).Seconds()
	opened, err := bundle.Open(file)
	if err != nil {
		return err
	}
	offline, err := b.timed(func() (verify.Report, error) { return opened.Verify(ctx, bundle.Options{}) })
	if err != nil {
		return err
	}
	b.add(row{Name: fmt.Sprintf("verify a bundle, %s events", events), Value: offline.rate(), Unit: "events/s",
		Baseline: "unpack and hash, one core", Beside: hashed, Target: &target{Value: 300_000}})
	b.addMemory(offline.memory)
	return nil
}

// verification is one that was measured.
type verification struct {
	checked int64
	took    time.Duration
	memory  memoryWatch
}

func (v verification) rate() float64 { return float64(v.checked) / v.took.Seconds() }

func (b *bench) timed(prove func() (verify.Report, error)) (v verification, err error) {
	debug.FreeOSMemory() // so that the watch sees the verifier's own
	stop := v.memory.watch()
	begin := time.Now()
	report, err := prove()
	v.took, v.checked = time.Since(begin), report.Checked
	stop()
	if err == nil && report.Break != nil {
		err = report.Break
	}
	return v, err
}

func (b *bench) addMemory(memory memoryWatch) {
	b.add(row{Name: "  heap in use, most in the last third", Value: memory.last / mebibyte, Unit: "MiB",
		Baseline: "in the first third", Beside: memory.first / mebibyte, Target: &target{Most: 1.5}})
}

// logEvents does what the projection does.
func logEvents(ctx context.Context, l *ledger, after eventstore.Position) error {
	const batch = 10_000
	var leaves []transparency.Leaf
	flush := func() error {
		err := pgx.BeginFunc(ctx, l.owner, func(tx pgx.Tx) error { return transparency.Append(ctx, tx, leaves) })
		leaves = leaves[:0]
		return err
	}
	for e, err := range l.store.ReadAll(ctx, after, eventstore.Filter{}) {
		if err != nil {
			return err
		}
		leaves = append(leaves, transparency.Leaf{Organization: e.Organization, Position: e.Position, Entry: e.Hash})
		if len(leaves) == batch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// hashBundle unpacks and hashes every record of a bundle and does nothing else.
func hashBundle(path string) (lines int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	for archive := tar.NewReader(bufio.NewReaderSize(file, mebibyte)); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
		if !strings.HasPrefix(header.Name, "events/") {
			continue
		}
		unpacked, err := gzip.NewReader(archive)
		if err != nil {
			return lines, err
		}
		text, err := io.ReadAll(unpacked)
		if err != nil {
			return lines, err
		}
		for record := range bytes.Lines(text) {
			_ = eventstore.HashOf(record[:len(record)-1])
			lines++
		}
	}
}
