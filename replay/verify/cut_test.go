package verify_test

import (
	"context"
	"iter"
	"sync/atomic"
	"testing"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/rounds"
	"github.com/sentryagent/agentidp/replay/replaytest"
	"github.com/sentryagent/agentidp/replay/verify"
)

// verifiedAt is the place that incremental verification has come to.
func verifiedAt(t *testing.T, a *replaytest.Archive) (size int64) {
	t.Helper()
	if err := a.Superuser.QueryRow(t.Context(), `SELECT coalesce(max(size), 0) FROM verifications`).Scan(&size); err != nil {
		t.Fatal(err)
	}
	return size
}

// A read that was cut off is no finding: a verification tells what it found, and
// moves its place, only when all that it reads ended by itself.
func TestAVerificationThatIsCutOffFindsNothing(t *testing.T) {
	rounds.NoRace(t)
	t.Parallel()
	for name, prove := range map[string]func(context.Context, *verify.Verifier, domain.OrganizationID) (verify.Report, error){
		"whole": func(ctx context.Context, v *verify.Verifier, _ domain.OrganizationID) (verify.Report, error) {
			return v.Verify(ctx, verify.Scope{})
		},
		"organization": func(ctx context.Context, v *verify.Verifier, id domain.OrganizationID) (verify.Report, error) {
			return v.Verify(ctx, verify.Scope{Organization: id})
		},
		"incremental": func(ctx context.Context, v *verify.Verifier, _ domain.OrganizationID) (verify.Report, error) {
			return verifyNew(ctx, v)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := replaytest.NewShortArchive(t)
			organization := replaytest.OrganizationsOf(a.Events)[0]
			read := func(ctx context.Context, s *replaytest.Scissors, place string) {
				if name == "incremental" {
					a.Exec(t, `DELETE FROM verifications`)
				}
				verifier := verify.New(replaytest.CutStore{Store: a.Store, Scissors: s}, verify.Options{Logs: replaytest.CutLogs{Logs: a.Logs, Scissors: s}, VerifierKey: replaytest.VerifierKey, Pool: a.Pool})
				report, err := prove(ctx, verifier, organization)
				if report.Break != nil {
					t.Errorf("%s: found %s", place, replaytest.Describe(report.Break))
				}
				if err == nil && s.Way == "error" && s.Applied() {
					t.Errorf("%s: %+v, and no error", place, report)
				}
				if at := verifiedAt(t, a); err != nil && at != 0 || err == nil && name == "incremental" && at != replaytest.CutEvents {
					t.Errorf("%s: %v, and the place is at %d", place, err, at)
				}
			}
			replaytest.CutEverywhere(t, []string{"context", "error"}, replaytest.Each, nil, read)
			replaytest.CutEverywhere(t, []string{"connection"}, replaytest.Sparsely, a.Kill(t), read)
		})
	}
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
	a := replaytest.NewShortArchive(t)
	verifier := verify.New(&stale{Store: a.Store}, verify.Options{Logs: a.Logs, VerifierKey: replaytest.VerifierKey})
	if report, err := verifier.Verify(t.Context(), verify.Scope{}); err != nil || report.Break != nil || report.Checked != replaytest.CutEvents {
		t.Errorf("%d events, found %s, %v; want nothing in %d", report.Checked, replaytest.Describe(report.Break), err, replaytest.CutEvents)
	}
	a.Exec(t, `DELETE FROM events WHERE position > $1`, replaytest.CutEvents-5)
	report, err := a.Verifier().Verify(t.Context(), verify.Scope{})
	if err != nil || report.Break == nil || report.Break.Kind != verify.TruncatedTail {
		t.Errorf("found %s, %v; want %s", replaytest.Describe(report.Break), err, verify.TruncatedTail)
	}
}
