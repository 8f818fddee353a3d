package replay_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/eventstore/storetest"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay"
)

var errCut = fmt.Errorf("%w: cut off", eventstore.ErrUnavailable)

// scissors cut reads off at the n-th thing that is read through all that shares
// them, in one of three ways.
type scissors struct {
	at      int64
	way     string
	read    atomic.Int64
	stop    context.CancelFunc // of the reader's context
	kill    func()             // its connections
	applied atomic.Bool
}

// snip counts one thing that is read.
func (s *scissors) snip() error {
	if s.read.Add(1) != s.at {
		return nil
	}
	s.applied.Store(true)
	switch s.way {
	case "context":
		s.stop()
	case "connection":
		s.kill()
	default:
		return errCut
	}
	return nil
}

func cutSeq[T any](s *scissors, items iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for item, err := range items {
			if err == nil {
				err = s.snip()
			}
			if !yield(item, err) || err != nil {
				return
			}
		}
	}
}

// cutBeforeEnd cuts right before the end, too.
func cutBeforeEnd(s *scissors, events iter.Seq2[eventstore.Event, error]) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		for event, err := range cutSeq(s, events) {
			if !yield(event, err) || err != nil {
				return
			}
		}
		if err := s.snip(); err != nil {
			yield(eventstore.Event{}, err)
		}
	}
}

type cutStore struct {
	eventstore.Store
	*scissors
}

func (c cutStore) DensePositions() bool { return eventstore.Dense(c.Store) }

func (c cutStore) ReadAll(ctx context.Context, after eventstore.Position, filter eventstore.Filter) iter.Seq2[eventstore.Event, error] {
	return cutBeforeEnd(c.scissors, c.Store.ReadAll(ctx, after, filter))
}

func (c cutStore) ReadStream(ctx context.Context, stream string, from int64, direction eventstore.Direction) iter.Seq2[eventstore.Event, error] {
	return cutBeforeEnd(c.scissors, c.Store.ReadStream(ctx, stream, from, direction))
}

func (c cutStore) Head(ctx context.Context) (eventstore.Position, error) {
	if err := c.snip(); err != nil {
		return 0, err
	}
	return c.Store.Head(ctx)
}

func (c cutStore) Subscribe(after eventstore.Position, filter eventstore.Filter) eventstore.Subscription {
	return cutSubscription{c.Store.Subscribe(after, filter), c.scissors}
}

type cutSubscription struct {
	eventstore.Subscription
	*scissors
}

func (c cutSubscription) Next(ctx context.Context) (eventstore.Batch, error) {
	if err := c.snip(); err != nil {
		return eventstore.Batch{}, err
	}
	return c.Subscription.Next(ctx)
}

type cutLogs struct {
	replay.Logs
	*scissors
}

func (c cutLogs) State(ctx context.Context, log uuid.UUID) (transparency.State, error) {
	if err := c.snip(); err != nil {
		return transparency.State{}, err
	}
	return c.Logs.State(ctx, log)
}

func (c cutLogs) Entries(ctx context.Context, log uuid.UUID, from, to int64) iter.Seq2[eventstore.Hash, error] {
	return cutSeq(c.scissors, c.Logs.Entries(ctx, log, from, to))
}

func (c cutLogs) Root(ctx context.Context, log uuid.UUID, size int64) (tlog.Hash, error) {
	if err := c.snip(); err != nil {
		return tlog.Hash{}, err
	}
	return c.Logs.Root(ctx, log, size)
}

func (c cutLogs) Checkpoints(ctx context.Context, log uuid.UUID) ([]transparency.Signed, error) {
	if err := c.snip(); err != nil {
		return nil, err
	}
	return c.Logs.Checkpoints(ctx, log)
}

// cutEverywhere has a reader read, once for each place where it can be cut off
// and each way, until a run comes to its end uncut. Places further in are tried
// less densely, by stride.
func cutEverywhere(t *testing.T, ways []string, stride func(at int64) int64, kill func(), read func(ctx context.Context, s *scissors, place string)) {
	t.Helper()
	for _, way := range ways {
		for at := int64(1); ; at += stride(at) {
			ctx, stop := context.WithCancel(t.Context())
			s := &scissors{at: at, way: way, stop: stop, kill: kill}
			read(ctx, s, fmt.Sprintf("cut by %s at %d", way, at))
			stop()
			if t.Failed() {
				return
			}
			if !s.applied.Load() {
				if at == 1 {
					t.Errorf("nothing was read that could be cut by %s", way)
				}
				break
			}
		}
	}
}

func each(int64) int64 { return 1 }

// sparsely tries the first places, those around the ends of pages, and few of
// the others.
func sparsely(at int64) int64 {
	if at < 10 || at%64 < 3 || at%64 > 61 {
		return 1
	}
	return 17
}

const cutEvents = 100

// newShortArchive is an archive whose ledger has few events.
func newShortArchive(t *testing.T) *archive {
	t.Helper()
	a := newArchive(t)
	a.exec(t, `TRUNCATE events, transparency_logs, transparency_tiles, checkpoints, checkpoint_cosignatures`)
	err := pgx.BeginFunc(t.Context(), a.superuser, func(tx pgx.Tx) error {
		if err := insert(t.Context(), tx, a.events[:cutEvents]); err != nil {
			return err
		}
		for from := 0; from < cutEvents; from += 50 {
			if err := logAndSign(t.Context(), tx, a.events[from:from+50], signingKey); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// kill ends the connections of the pool, as a server that is restarted does.
func (a *archive) kill(t *testing.T) func() {
	return func() {
		_, err := a.superuser.Exec(context.WithoutCancel(t.Context()), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name NOT LIKE 'agentidp ledger%'`)
		if err != nil {
			t.Error(err)
		}
	}
}

// verifiedAt is the place that incremental verification has come to.
func (a *archive) verifiedAt(t *testing.T) (size int64) {
	t.Helper()
	if err := a.superuser.QueryRow(t.Context(), `SELECT coalesce(max(size), 0) FROM verifications`).Scan(&size); err != nil {
		t.Fatal(err)
	}
	return size
}

// A read that was cut off is no finding: a verification tells what it found, and
// moves its place, only when all that it reads ended by itself.
func TestAVerificationThatIsCutOffFindsNothing(t *testing.T) {
	t.Parallel()
	for name, verify := range map[string]func(context.Context, *replay.Verifier, domain.OrganizationID) (replay.Report, error){
		"whole": func(ctx context.Context, v *replay.Verifier, _ domain.OrganizationID) (replay.Report, error) {
			return v.Verify(ctx, replay.Scope{})
		},
		"organization": func(ctx context.Context, v *replay.Verifier, id domain.OrganizationID) (replay.Report, error) {
			return v.Verify(ctx, replay.Scope{Organization: id})
		},
		"incremental": func(ctx context.Context, v *replay.Verifier, _ domain.OrganizationID) (replay.Report, error) {
			return v.ReportNew(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newShortArchive(t)
			organization := organizationsOf(a.events)[0]
			read := func(ctx context.Context, s *scissors, place string) {
				if name == "incremental" {
					a.exec(t, `DELETE FROM verifications`)
				}
				verifier := replay.NewVerifier(cutStore{a.store, s}, replay.VerifierOptions{Logs: cutLogs{a.logs, s}, VerifierKey: verifierKey, Pool: a.pool})
				report, err := verify(ctx, verifier, organization)
				if report.Break != nil {
					t.Errorf("%s: found %s", place, describe(report.Break))
				}
				if err == nil && s.way == "error" && s.applied.Load() {
					t.Errorf("%s: %+v, and no error", place, report)
				}
				if at := a.verifiedAt(t); err != nil && at != 0 || err == nil && name == "incremental" && at != cutEvents {
					t.Errorf("%s: %v, and the place is at %d", place, err, at)
				}
			}
			cutEverywhere(t, []string{"context", "error"}, each, nil, read)
			cutEverywhere(t, []string{"connection"}, sparsely, a.kill(t), read)
		})
	}
}

// An export that was cut off says so: what has been written is no bundle.
func TestAnExportThatIsCutOffIsNone(t *testing.T) {
	t.Parallel()
	a := newShortArchive(t)
	read := func(ctx context.Context, s *scissors, place string) {
		exporter := &replay.Exporter{Store: cutStore{a.store, s}, Logs: cutLogs{a.logs, s}, VerifierKey: verifierKey}
		manifest, err := exporter.Export(ctx, io.Discard, domain.OrganizationID{})
		if err == nil && (manifest.Events != cutEvents || manifest.Entries != cutEvents || manifest.Checkpoints != cutEvents/50 || s.way == "error" && s.applied.Load()) {
			t.Errorf("%s: a bundle of %d events, %d entries, %d checkpoints", place, manifest.Events, manifest.Entries, manifest.Checkpoints)
		}
	}
	cutEverywhere(t, []string{"context", "error"}, each, nil, read)
	cutEverywhere(t, []string{"connection"}, sparsely, a.kill(t), read)
}

// A bundle is verified to its end or not at all.
func TestAVerificationOfABundleThatIsCutOffFindsNothing(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	bundle := openBundle(t, a.export(t, domain.OrganizationID{}))
	for at := 0; at < bookedEvents/256; at += 3 {
		ctx, stop := context.WithCancel(t.Context())
		left := at
		report, err := bundle.Verify(ctx, replay.BundleOptions{VerifierKey: verifierKey(transparency.Whole), Progress: func(int) {
			if left--; left <= 0 {
				stop()
			}
		}})
		stop()
		if report.Break != nil || err == nil && report.Checked != bookedEvents {
			t.Fatalf("cut at batch %d: %d events, found %s", at, report.Checked, describe(report.Break))
		}
	}
}

// A state is of everything up to its moment, or there is none.
func TestAStateThatIsCutOffIsNone(t *testing.T) {
	t.Parallel()
	a := newShortArchive(t)
	agent := domain.AgentID{}
	for _, e := range a.events[:cutEvents] {
		if e.Type == "agent.suspended" || agent.IsZero() && e.Type == "agent.created" {
			id, err := domain.ParseAgentID(e.Stream[len("agent-"):])
			if err != nil {
				t.Fatal(err)
			}
			agent = id
		}
	}
	history := func(s eventstore.Store) *replay.History {
		return replay.NewHistory(s, projections.NewQueries(a.pool), time.Now)
	}
	moment := replay.Moment{Position: cutEvents}
	operator := domain.Caller{Scopes: domain.NewScopes(domain.ScopeAdminOrgs)}
	want, err := history(a.store).Agent(t.Context(), operator, agent, moment)
	if err != nil {
		t.Fatal(err)
	}
	read := func(ctx context.Context, s *scissors, place string) {
		got, err := history(cutStore{a.store, s}).Agent(ctx, operator, agent, moment)
		var refused *domain.Error
		if errors.As(err, &refused) {
			t.Errorf("%s: refused: %v", place, err)
		}
		if err == nil && fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, want %+v", place, got, want)
		}
	}
	cutEverywhere(t, []string{"context", "error"}, each, nil, read)
	cutEverywhere(t, []string{"connection"}, sparsely, a.kill(t), read)
}

// A copy that was cut off has found no difference, and what it has copied is how
// the source begins.
func TestACopyThatIsCutOffFindsNoDifference(t *testing.T) {
	t.Parallel()
	const events = 60
	source := memory.New()
	writer := newCopyist("cut", seed)
	for n := 0; n < events; {
		n += writer.write(t, source)
	}
	want := storetest.All(t, source)
	for _, side := range []string{"source", "target"} {
		t.Run(side, func(t *testing.T) {
			t.Parallel()
			cutEverywhere(t, []string{"context", "error"}, each, nil, func(ctx context.Context, s *scissors, place string) {
				target := memory.New()
				for _, e := range want[:20] { // there from an earlier copy
					record, err := e.Decode()
					if err == nil {
						_, err = target.Append(t.Context(), e.Stream, eventstore.Exactly(e.Revision-1), record.Draft)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				copier := replay.Copier{From: source, To: target, Patience: 1}
				if side == "source" {
					copier.From = cutStore{source, s}
				} else {
					copier.To = cutStore{target, s}
				}
				report, err := copier.Copy(ctx)
				var difference *replay.Difference
				var broken *eventstore.Break
				if errors.As(err, &difference) || errors.As(err, &broken) {
					t.Errorf("%s: %v", place, err)
				}
				if err == nil && (!report.Proven || report.Events != int64(len(want))) || err != nil && report.Proven {
					t.Errorf("%s: %+v, %v", place, report, err)
				}
				for i, e := range storetest.All(t, target) {
					if e.Hash != want[i].Hash {
						t.Fatalf("%s: the target's event %d is not the source's", place, i)
					}
				}
			})
		})
	}
}

// What a ledger is said to go on from is compared to the end or not at all.
func TestExtendingThatIsCutOffRefusesNothing(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	tree := &transparency.Tree{}
	for _, e := range a.events[:cutEvents] {
		tree.Append(e.Hash)
	}
	cutEverywhere(t, []string{"context", "error"}, each, nil, func(ctx context.Context, s *scissors, place string) {
		err := replay.Extends(ctx, cutStore{a.store, s}, tree, func(int) {})
		var broken *eventstore.Break
		if errors.Is(err, replay.ErrNoExtension) || errors.As(err, &broken) {
			t.Errorf("%s: %v", place, err)
		}
	})
}

// stale ends its first reads of the ledger too soon, and without an error, as a
// server does that is about to be replaced.
type stale struct {
	eventstore.Store
	reads atomic.Int64
}

func (s *stale) DensePositions() bool { return true }

func (s *stale) ReadAll(ctx context.Context, after eventstore.Position, filter eventstore.Filter) iter.Seq2[eventstore.Event, error] {
	const lags, keeps = 2, 10 // those of the first look
	lagging := s.reads.Add(1) <= lags
	return func(yield func(eventstore.Event, error) bool) {
		n := 0
		for e, err := range s.Store.ReadAll(ctx, after, filter) {
			if n++; lagging && n > keeps || !yield(e, err) {
				return
			}
		}
	}
}

// What is found by the length alone is looked at twice, and told when it is found
// again.
func TestAFindingByTheLengthAloneIsLookedAtTwice(t *testing.T) {
	t.Parallel()
	a := newShortArchive(t)
	verifier := replay.NewVerifier(&stale{Store: a.store}, replay.VerifierOptions{Logs: a.logs, VerifierKey: verifierKey})
	if report, err := verifier.Verify(t.Context(), replay.Scope{}); err != nil || report.Break != nil || report.Checked != cutEvents {
		t.Errorf("%d events, found %s, %v; want nothing in %d", report.Checked, describe(report.Break), err, cutEvents)
	}
	a.exec(t, `DELETE FROM events WHERE position > $1`, cutEvents-5)
	report, err := a.verifier().Verify(t.Context(), replay.Scope{})
	if err != nil || report.Break == nil || report.Break.Kind != replay.TruncatedTail {
		t.Errorf("found %s, %v; want %s", describe(report.Break), err, replay.TruncatedTail)
	}
}
