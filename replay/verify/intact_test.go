package verify_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/rounds"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay/replaytest"
	"github.com/sentryagent/agentidp/replay/verify"
)

func TestAnIntactLedgerAgreesWithItsLogAndCheckpoints(t *testing.T) {
	t.Parallel()
	a := replaytest.NewArchive(t)
	report, err := a.Verifier(a.Outside()).Verify(t.Context(), verify.Scope{})
	if err != nil || report.Break != nil || report.Checked != replaytest.BookedEvents || report.TreeSize != replaytest.BookedEvents || report.Root != a.Signed.Root {
		t.Errorf("%+v, %v; want all %d events and root %s", report, err, replaytest.BookedEvents, a.Signed.Root)
	}
	if report.Checkpoint == nil || report.Checkpoint.Size != replaytest.BookedEvents || !report.Checkpoint.Outside {
		t.Errorf("agrees with %+v, want the newest checkpoint", report.Checkpoint)
	}
	var sum int64
	for _, organization := range replaytest.OrganizationsOf(a.Events) {
		report, err := a.Verifier().Verify(t.Context(), verify.Scope{Organization: organization})
		if err != nil || report.Break != nil || report.TreeSize != report.Checked || report.Checkpoint == nil {
			t.Errorf("%s: %+v, %v", organization, report, err)
		}
		sum += report.Checked
	}
	if nobodys := int64(1); sum+nobodys != replaytest.BookedEvents {
		t.Errorf("organizations have %d events, want all but %d of %d", sum, nobodys, replaytest.BookedEvents)
	}
}

// What was done to one organization's events is not seen by another.
func TestHarmToOneOrganizationIsNotSeenByAnother(t *testing.T) {
	t.Parallel()
	a := replaytest.NewArchive(t)
	i := a.Middle(5_000)
	a.Exec(t, `UPDATE events SET record = set_byte(record, 400, get_byte(record, 400) # 1) WHERE position = $1`, i+1)
	for _, organization := range replaytest.OrganizationsOf(a.Events) {
		report, err := a.Verifier().Verify(t.Context(), verify.Scope{Organization: organization})
		if err != nil {
			t.Fatal(err)
		}
		if victim := organization.UUID == a.Events[i].Organization; victim != (report.Break != nil) {
			t.Errorf("%s finds %s, is the victim: %v", organization, replaytest.Describe(report.Break), victim)
		} else if victim && (report.Break.Kind != verify.AlteredEvent || report.Break.EventID != a.Events[i].ID) {
			t.Errorf("the victim finds %s, want %s altered", replaytest.Describe(report.Break), a.Events[i].ID)
		}
	}
}

// The log may be behind the events, or be derived again from the beginning.
func TestALogThatIsBehindIsNoHarm(t *testing.T) {
	t.Parallel()
	a := replaytest.NewArchive(t)
	a.Exec(t, `TRUNCATE transparency_logs, transparency_tiles`)
	for _, logged := range []int{0, 1, 255, 4_711} {
		err := pgx.BeginFunc(t.Context(), a.Superuser, func(tx pgx.Tx) error {
			return replaytest.LogAndSign(t.Context(), tx, a.Events[:logged], nil)
		})
		if err != nil {
			t.Fatal(err)
		}
		report, err := a.Verifier(a.Outside()).Verify(t.Context(), verify.Scope{})
		if err != nil || report.Break != nil || report.Checked != replaytest.BookedEvents {
			t.Errorf("with %d events logged: %+v, %v", logged, report, err)
		}
	}
}

// What the log has is checked although the events are what was signed.
func TestAnAlteredLogIsToldFromAlteredEvents(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"an entry":            `UPDATE transparency_tiles SET hashes = set_byte(hashes, 70, get_byte(hashes, 70) # 1) WHERE level = 0 AND number = 3 AND organization_id = $1`,
		"a subtree":           `UPDATE transparency_tiles SET hashes = set_byte(hashes, 70, get_byte(hashes, 70) # 1) WHERE level = 1 AND number = 0 AND organization_id = $1`,
		"a tile":              `DELETE FROM transparency_tiles WHERE level = 0 AND number = 3 AND organization_id = $1`,
		"a checkpoint's root": `UPDATE checkpoints SET note = convert_to(replace(convert_from(note, 'UTF8'), E'\n4000\n', E'\n4001\n'), 'UTF8') WHERE size = 4000 AND organization_id = $1`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := replaytest.NewArchive(t)
			a.Exec(t, sql, transparency.Whole)
			report, err := a.Verifier(a.Outside()).Verify(t.Context(), verify.Scope{})
			if err != nil || report.Break == nil || report.Break.Kind != verify.AlteredLog {
				t.Errorf("found %s, %v; want %s", replaytest.Describe(report.Break), err, verify.AlteredLog)
			}
		})
	}
}

// Where the log was made to fit but the checkpoints were left, one can only say
// between which of them something was done.
func TestWhatCannotBeToldApartIsSaidSo(t *testing.T) {
	t.Parallel()
	a := replaytest.NewArchive(t)
	i := replaytest.Harms["replaced, its stream sealed again"].Do(t, a)
	a.Exec(t, `TRUNCATE transparency_logs, transparency_tiles`)
	err := pgx.BeginFunc(t.Context(), a.Superuser, func(tx pgx.Tx) error { return replaytest.LogAndSign(t.Context(), tx, a.Read(t), nil) })
	if err != nil {
		t.Fatal(err)
	}
	report, err := a.Verifier().Verify(t.Context(), verify.Scope{})
	if err != nil || report.Break == nil || report.Break.Kind != verify.Undetermined || report.Break.Index != i/replaytest.SignedEvery*replaytest.SignedEvery {
		t.Errorf("found %s, %v; want %s from %d on", replaytest.Describe(report.Break), err, verify.Undetermined, i/replaytest.SignedEvery*replaytest.SignedEvery)
	}
}

// While many write, and the log and the signer follow, nothing is ever wrong.
func TestALedgerBeingWrittenAtFullSpeedVerifies(t *testing.T) {
	t.Parallel()
	a := replaytest.NewArchive(t)
	const patience = 2 * time.Minute
	ctx, stop := context.WithTimeout(t.Context(), patience)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	for w := range 8 {
		record, err := a.Events[9_000+w*10].Decode()
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			for ctx.Err() == nil {
				draft := record.Draft
				draft.ID, draft.Time = uuid.New(), time.Now()
				if _, err := a.Store.Append(ctx, record.Stream, eventstore.Any(), draft); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	all.Go(func() { followAndSign(ctx, t, a) })
	var verified, added int64
	for ; ctx.Err() == nil && (verified < 5 || added < 100); verified++ {
		report, err := a.Verifier(a.Outside()).Verify(ctx, verify.Scope{})
		mustHold(t, ctx, report, err)
		fresh, err := verifyNew(ctx, a.Verifier(a.Outside()))
		mustHold(t, ctx, fresh, err)
		one, err := a.Verifier().Verify(ctx, verify.Scope{Organization: domain.OrganizationID{UUID: a.Events[9_000].Organization}})
		mustHold(t, ctx, one, err)
		added = max(added, report.Checked-replaytest.BookedEvents)
	}
	if ctx.Err() != nil {
		t.Errorf("verified %d times while %d events came: that shows nothing", verified, added)
	}
}

func mustHold(t *testing.T, ctx context.Context, report verify.Report, err error) {
	t.Helper()
	if ctx.Err() == nil && (err != nil || report.Break != nil) {
		t.Errorf("found %s, %v in an intact ledger", replaytest.Describe(report.Break), err)
	}
}

// followAndSign is the projection and the signer, as fast as they can.
func followAndSign(ctx context.Context, t *testing.T, a *replaytest.Archive) {
	subscription := a.Store.Subscribe(replaytest.BookedEvents, eventstore.Filter{})
	defer subscription.Close()
	for {
		batch, err := subscription.Next(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil && len(batch.Events) > 0 {
			err = pgx.BeginFunc(ctx, a.Superuser, func(tx pgx.Tx) error { return replaytest.LogAndSign(ctx, tx, batch.Events, replaytest.SigningKey) })
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
			return
		}
	}
}

// verifyNew verifies what is new and remembers how far it came.
func verifyNew(ctx context.Context, v *verify.Verifier) (verify.Report, error) {
	report, err := v.VerifyNew(ctx)
	if err == nil {
		err = v.Remember(ctx, report)
	}
	return report, err
}

func TestVerifyingWhatIsNewTakesNoMore(t *testing.T) {
	t.Parallel()
	a := replaytest.NewArchive(t)
	for range 2 {
		report, err := a.Verifier(a.Outside()).VerifyNew(t.Context())
		if at := verifiedAt(t, a); err != nil || report.Checked != replaytest.BookedEvents || at != 0 {
			t.Fatalf("checked %d, %v, and remembered %d; want all checked and nothing remembered", report.Checked, err, at)
		}
	}
	verify := func(want int64) {
		t.Helper()
		report, err := verifyNew(t.Context(), a.Verifier(a.Outside()))
		if err != nil || report.Break != nil || report.Checked != want {
			t.Fatalf("checked %d, found %s, %v; want %d and nothing", report.Checked, replaytest.Describe(report.Break), err, want)
		}
	}
	verify(replaytest.BookedEvents)
	verify(0)
	a.WriteOn(t, 250)
	verify(250) // the log is behind
	verify(250)
	err := pgx.BeginFunc(t.Context(), a.Superuser, func(tx pgx.Tx) error { return replaytest.LogAndSign(t.Context(), tx, a.Read(t), replaytest.SigningKey) })
	if err != nil {
		t.Fatal(err)
	}
	verify(250)
	verify(0)
	a.Exec(t, `UPDATE verifications SET edge = edge || edge`)
	verify(replaytest.BookedEvents + 250) // somebody changed what was remembered
	verify(0)
	a.Exec(t, `UPDATE verifications SET edge = set_byte(edge, 3, get_byte(edge, 3) # 1)`)
	verify(replaytest.BookedEvents + 250)
	verify(0)
}

func TestVerifyingWhatIsNewFindsWhatVerifyingAllFinds(t *testing.T) {
	rounds.NoRace(t)
	t.Parallel()
	for _, name := range []string{"the last 100 gone", "yesterday's backup, written on", "yesterday's backup, hardly written on", "written anew"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := replaytest.NewArchive(t)
			report, err := verifyNew(t.Context(), a.Verifier())
			mustHold(t, t.Context(), report, err)
			h := replaytest.Harms[name]
			index := h.Do(t, a)
			a.FitLog(t)
			if report, err = verifyNew(t.Context(), a.Verifier(a.Outside())); err != nil {
				t.Fatal(err)
			}
			h.Expect(t, a, report.Break, index, true)
		})
	}
	t.Run("a new event altered", func(t *testing.T) {
		t.Parallel()
		a := replaytest.NewArchive(t)
		report, err := verifyNew(t.Context(), a.Verifier())
		mustHold(t, t.Context(), report, err)
		a.WriteOn(t, 20)
		a.Exec(t, `UPDATE events SET record = set_byte(record, 400, get_byte(record, 400) # 1) WHERE position = $1`, replaytest.BookedEvents+10)
		report, err = verifyNew(t.Context(), a.Verifier())
		broken := report.Break
		if err != nil || broken == nil || broken.Kind != verify.AlteredEvent || broken.Index != replaytest.BookedEvents+9 {
			t.Errorf("found %s, %v; want event %d altered", replaytest.Describe(broken), err, replaytest.BookedEvents+9)
		}
	})
}
