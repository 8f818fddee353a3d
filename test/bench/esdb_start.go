package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/server/upkeep"
)

// starting measures the start of a server on a large ledger in an EventStoreDB: the
// first, which finds no read models and no snapshot, and one that goes on from
// both.
func (b *bench) starting(ctx context.Context) error {
	cluster, err := wiretest.New(1)
	if err != nil {
		return err
	}
	defer cluster.Close()
	at, err := b.migrated(ctx, "agentidp_start")
	if err != nil {
		return err
	}
	at.esdbURL = cluster.URL()
	if err := b.fillElsewhere(ctx, at, b.events); err != nil {
		return err
	}
	of := fmt.Sprintf(", EventStoreDB with %s events", thousands(float64(b.events)))
	for _, which := range []string{"first start of a server until it answers", "the next start"} {
		calls, begin := cluster.Calls(), time.Now()
		s, err := b.startServer(ctx, at, config.AlgES256)
		if err != nil {
			return err
		}
		took := time.Since(begin)
		b.add(row{Name: which + of, Value: took.Seconds(), Unit: "s"})
		b.add(row{Name: "  calls of the event store until then", Value: float64(cluster.Calls() - calls), Unit: "calls"})
		head, err := b.headElsewhere(ctx, at)
		if err == nil {
			err = b.awaitQuiet(ctx, at, head)
		}
		if err != nil {
			return errors.Join(err, s.stop())
		}
		b.add(row{Name: "  and until the read models are there", Value: time.Since(begin).Seconds(), Unit: "s"})
		b.add(row{Name: "  resident memory of the server then", Value: residentMemory(s.cmd.Process.Pid) / mebibyte, Unit: "MiB"})
		log, err := os.ReadFile(s.log.Name())
		if err = errors.Join(err, s.stop()); err != nil {
			return err
		}
		for line := range bytes.Lines(log) {
			if bytes.Contains(line, []byte(`"of":`)) {
				b.say(string(bytes.TrimSpace(line)))
			}
		}
	}
	return nil
}

// fillElsewhere appends issuances to a ledger that may be in an EventStoreDB.
func (b *bench) fillElsewhere(ctx context.Context, at ledgerAt, events int) error {
	return b.onLedger(ctx, at, func(l *upkeep.Ledger) error { return b.issueInGroups(ctx, l.Store, events) })
}

func (b *bench) headElsewhere(ctx context.Context, at ledgerAt) (head eventstore.Position, err error) {
	err = b.onLedger(ctx, at, func(l *upkeep.Ledger) (err error) {
		head, err = l.Store.Head(ctx)
		return err
	})
	return head, err
}

func (b *bench) onLedger(ctx context.Context, at ledgerAt, do func(*upkeep.Ledger) error) error {
	settings, err := b.config(at)
	if err != nil {
		return err
	}
	l, err := upkeep.OpenLedger(ctx, settings)
	if err != nil {
		return err
	}
	defer l.Close()
	return do(l)
}
