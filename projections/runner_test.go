package projections_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/projections"
)

// node is a process of its own: its pool, its runner.
func (w *world) node(t testing.TB, name string, options projections.RunnerOptions, list ...projections.Projection) (stop func()) {
	t.Helper()
	config, err := pgxpool.ParseConfig(w.ServerURL)
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.RuntimeParams["application_name"] = name
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	options.Standby = 50 * time.Millisecond
	return run(t, projections.NewRunner(pool, w.store, list, options))
}

// counting is a projection without tables.
func counting(name string, apply func([]follow.Event) error) projections.Projection {
	return projections.Projection{Name: name, Version: 1, Apply: func(_ context.Context, _ pgx.Tx, events []follow.Event) error {
		return apply(events)
	}}
}

func (w *world) checkpoint(t testing.TB, name string) (position, failed int64, state, reason string) {
	t.Helper()
	err := w.admin.QueryRow(t.Context(), `SELECT position, coalesce(failed_position, 0), state, error FROM projection_checkpoints
		WHERE name = $1`, name).Scan(&position, &failed, &state, &reason)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatal(err)
	}
	return position, failed, state, reason
}

func TestPoisonHaltsOnlyItsProjectionRightBeforeTheEvent(t *testing.T) {
	for name, test := range map[string]struct {
		poison func(t testing.TB, w *world, organization domain.OrganizationID)
		reason string
	}{
		"an unknown event": {func(t testing.TB, w *world, organization domain.OrganizationID) {
			d := draft(t, organization, time.Now(), domain.AgentSuspended{})
			d.Type = "agent.ascended"
			if _, err := w.store.Append(t.Context(), newStream(), eventstore.NoStream(), d); err != nil {
				t.Fatal(err)
			}
		}, "agent.ascended"},
		"an error of the handler": {func(t testing.TB, w *world, organization domain.OrganizationID) {
			record(t, w.store, newStream(), organization, domain.AgentSuspended{Reason: "poison"})
		}, "I cannot"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			organization, log := newOrganizationID(), &logLines{}
			var before, applied atomic.Int64
			victim := counting("victim", func(events []follow.Event) error {
				for _, e := range events {
					if f, ok := e.Fact.(domain.AgentSuspended); ok && f.Reason == "poison" {
						return errors.New("I cannot")
					}
				}
				before.Add(int64(len(events)))
				return nil
			})
			other := counting("other", func(events []follow.Event) error { applied.Add(int64(len(events))); return nil })
			other.Types = []domain.Type{"agent.created"}
			for range 7 {
				record(t, w.store, newStream(), organization, created(newAgentID(), organization))
			}
			test.poison(t, w, organization)
			last := record(t, w.store, newStream(), organization, created(newAgentID(), organization))

			list := []projections.Projection{victim, other}
			progress := projections.NewProgress(w.pool, w.store, list, projections.ProgressOptions{})
			run(t, progress)
			w.node(t, "node", projections.RunnerOptions{Progress: progress, Logger: log.logger(), HaltedRetry: 20 * time.Millisecond}, list...)

			if err := progress.WaitFor(within(t, 20*time.Second), last, "other"); err != nil {
				t.Fatalf("the other projection is held up: %v", err)
			}
			eventually(t, "the victim halts", func() bool { _, _, state, _ := w.checkpoint(t, "victim"); return state == "halted" })
			position, failed, _, reason := w.checkpoint(t, "victim")
			if position != 7 || failed != 8 || !strings.Contains(reason, test.reason) {
				t.Errorf("checkpoint at %d, failed at %d for %q; want 7, 8, %q", position, failed, reason, test.reason)
			}
			if n := before.Load(); n != 7 {
				t.Errorf("%d events were applied before the poison, want 7", n)
			}
			if n := applied.Load(); n != 8 {
				t.Errorf("the other projection applied %d events, want 8", n)
			}

			start := time.Now()
			err := progress.WaitFor(within(t, 20*time.Second), last, "victim")
			var behind *projections.BehindError
			if !errors.As(err, &behind) || !errors.Is(err, projections.ErrBehind) || !behind.Halted || time.Since(start) > 5*time.Second {
				t.Errorf("waiting for a halted projection: %v after %v, want ErrBehind at once", err, time.Since(start))
			}
			if err := progress.WaitFor(within(t, 20*time.Second), 7, "victim"); err != nil {
				t.Errorf("waiting for what was applied before: %v", err)
			}
			w.haltsAgain(t, "victim")
			w.haltsAgain(t, "victim")
			if n := log.count("projection halted"); n != 1 {
				t.Errorf("halting was logged %d times, want once", n)
			}
		})
	}
}

// haltsAgain waits until a halted projection has looked at its event once more.
func (w *world) haltsAgain(t testing.TB, name string) {
	t.Helper()
	halted := func() (at time.Time) {
		if err := w.admin.QueryRow(t.Context(), `SELECT updated_at FROM projection_checkpoints WHERE name = $1`, name).Scan(&at); err != nil {
			t.Fatal(err)
		}
		return at
	}
	first := halted()
	eventually(t, "it looks at the event again", func() bool { return halted().After(first) })
}

func TestHaltedProjectionGoesOnInANewerBuild(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	organization := newOrganizationID()
	last := record(t, w.store, newStream(), organization, created(newAgentID(), organization))
	old := counting("p", func([]follow.Event) error { panic("what is this?") })
	w.node(t, "old", projections.RunnerOptions{HaltedRetry: 20 * time.Millisecond}, old)
	eventually(t, "it halts", func() bool { _, _, state, _ := w.checkpoint(t, "p"); return state == "halted" })

	newer := counting("p", func([]follow.Event) error { return nil })
	w.node(t, "newer", projections.RunnerOptions{}, newer)
	eventually(t, "it goes on", func() bool {
		position, failed, state, reason := w.checkpoint(t, "p")
		return state == "running" && position == int64(last) && failed == 0 && reason == ""
	})
}

func TestDatabaseErrorsAreNeverPoison(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	organization, log := newOrganizationID(), &logLines{}
	last := record(t, w.store, newStream(), organization, created(newAgentID(), organization))
	var tries atomic.Int64
	p := projections.Projection{Name: "p", Version: 1, Apply: func(ctx context.Context, tx pgx.Tx, events []follow.Event) error {
		var sql string
		switch tries.Add(1) {
		case 1:
			sql = `SELECT pg_terminate_backend(pg_backend_pid())`
		case 2:
			sql = `SELECT * FROM there_is_no_such_table`
		case 3:
			sql = `DO $$ BEGIN RAISE EXCEPTION 'the disk is full' USING ERRCODE = 'disk_full'; END $$`
		case 4:
			sql = `DO $$ BEGIN RAISE EXCEPTION 'deadlock' USING ERRCODE = 'deadlock_detected'; END $$`
		default:
			return nil
		}
		_, err := tx.Exec(ctx, sql)
		return err
	}}
	w.node(t, "node", projections.RunnerOptions{Logger: log.logger()}, p)
	eventually(t, "it gets through", func() bool { position, _, _, _ := w.checkpoint(t, "p"); return position == int64(last) })
	if halts, interruptions := log.count("halted"), log.count("projection interrupted"); halts != 0 || interruptions != 1 {
		t.Errorf("logged %d halts and %d interruptions, want 0 and 1:\n%s", halts, interruptions, log.text.String())
	}
}

func TestOneRunnerIsActiveAndAnotherTakesOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	organization := newOrganizationID()
	var by [2]atomic.Int64
	node := func(i int) (stop func()) {
		return w.node(t, fmt.Sprint("node ", i), projections.RunnerOptions{}, counting("p", func(events []follow.Event) error {
			by[i].Add(int64(len(events)))
			return nil
		}))
	}
	feed := func(n int) {
		for range n {
			record(t, w.store, newStream(), organization, created(newAgentID(), organization))
		}
	}
	stopFirst := node(0)
	feed(1)
	eventually(t, "the first node works", func() bool { return by[0].Load() == 1 })
	stopSecond := node(1)
	feed(50)
	applied := func(position int64) func() bool {
		return func() bool { at, _, _, _ := w.checkpoint(t, "p"); return at == position }
	}
	eventually(t, "all is applied", applied(51))
	if by[1].Load() != 0 {
		t.Errorf("the second node applied %d events while the first was active", by[1].Load())
	}
	stopFirst()
	feed(10)
	eventually(t, "the second node takes over", applied(61))
	if by[0].Load() != 51 || by[1].Load() != 10 {
		t.Errorf("the nodes applied %d and %d events, want 51 and 10", by[0].Load(), by[1].Load())
	}

	// A node that dies takes its sessions with it.
	stopThird := w.node(t, "third", projections.RunnerOptions{}, counting("p", func(events []follow.Event) error {
		by[0].Add(int64(len(events)))
		return nil
	}))
	defer stopThird()
	if _, err := w.admin.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'agentidp projections'`); err != nil {
		t.Fatal(err)
	}
	feed(10)
	eventually(t, "somebody goes on", applied(71))
	stopSecond()
	feed(10)
	eventually(t, "the third goes on alone", applied(81))
}

func TestMovedCheckpointFencesTheRunner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	organization := newOrganizationID()
	feed := func() eventstore.Position {
		return record(t, w.store, newStream(), organization, created(newAgentID(), organization))
	}
	var applied []eventstore.Position
	var count atomic.Int64
	w.node(t, "node", projections.RunnerOptions{}, counting("p", func(events []follow.Event) error {
		for _, e := range events {
			applied = append(applied, e.Position)
		}
		count.Store(int64(len(applied)))
		return nil
	}))
	feed()
	feed()
	eventually(t, "both are applied", func() bool { return count.Load() == 2 })
	if _, err := w.admin.Exec(t.Context(), `UPDATE projection_checkpoints SET position = 1`); err != nil {
		t.Fatal(err)
	}
	last := feed()
	eventually(t, "it starts over from the stored checkpoint", func() bool {
		position, _, _, _ := w.checkpoint(t, "p")
		return position == int64(last) && count.Load() == 4
	})
	if got := fmt.Sprint(applied); got != "[1 2 2 3]" {
		t.Errorf("applied %s, want 1, 2 and, after the checkpoint was moved back to 1, 2 and 3", got)
	}
}

// An endless stream of single events is not an endless stream of transactions.
func TestHighWriteLoadCoalesces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	organization := newOrganizationID()
	var transactions, events atomic.Int64
	p := counting("p", func(batch []follow.Event) error {
		transactions.Add(1)
		events.Add(int64(len(batch)))
		return nil
	})
	p.Pace = 200 * time.Millisecond
	start := time.Now()
	w.node(t, "node", projections.RunnerOptions{}, p)
	const total = 400
	stream := newStream()
	for range total {
		record(t, w.store, stream, organization, created(newAgentID(), organization))
	}
	eventually(t, "all is applied", func() bool { return events.Load() == total })
	if most := int64(time.Since(start)/p.Pace) + 2; transactions.Load() > most {
		t.Errorf("%d events in %v took %d transactions, want at most %d", total, time.Since(start), transactions.Load(), most)
	}
}
