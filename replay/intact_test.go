package replay_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay"
)

func TestAnIntactLedgerAgreesWithItsLogAndCheckpoints(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	report, err := a.verifier(a.outside()).Verify(t.Context(), replay.Scope{})
	if err != nil || report.Break != nil || report.Checked != bookedEvents || report.TreeSize != bookedEvents || report.Root != a.signed.Root {
		t.Errorf("%+v, %v; want all %d events and root %s", report, err, bookedEvents, a.signed.Root)
	}
	if report.Checkpoint == nil || report.Checkpoint.Size != bookedEvents || !report.Checkpoint.Outside {
		t.Errorf("agrees with %+v, want the newest checkpoint", report.Checkpoint)
	}
	var sum int64
	for _, organization := range organizationsOf(a.events) {
		report, err := a.verifier().Verify(t.Context(), replay.Scope{Organization: organization})
		if err != nil || report.Break != nil || report.TreeSize != report.Checked || report.Checkpoint == nil {
			t.Errorf("%s: %+v, %v", organization, report, err)
		}
		sum += report.Checked
	}
	if nobodys := int64(1); sum+nobodys != bookedEvents {
		t.Errorf("organizations have %d events, want all but %d of %d", sum, nobodys, bookedEvents)
	}
}

func organizationsOf(events []eventstore.Event) (found []domain.OrganizationID) {
	for _, e := range events {
		id := domain.OrganizationID{UUID: e.Organization}
		if e.Organization != uuid.Nil && !slices.Contains(found, id) {
			found = append(found, id)
		}
	}
	return found
}

// What was done to one organization's events is not seen by another.
func TestHarmToOneOrganizationIsNotSeenByAnother(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	i := a.middle(5_000)
	a.exec(t, `UPDATE events SET record = set_byte(record, 400, get_byte(record, 400) # 1) WHERE position = $1`, i+1)
	for _, organization := range organizationsOf(a.events) {
		report, err := a.verifier().Verify(t.Context(), replay.Scope{Organization: organization})
		if err != nil {
			t.Fatal(err)
		}
		if victim := organization.UUID == a.events[i].Organization; victim != (report.Break != nil) {
			t.Errorf("%s finds %s, is the victim: %v", organization, describe(report.Break), victim)
		} else if victim && (report.Break.Kind != replay.AlteredEvent || report.Break.EventID != a.events[i].ID) {
			t.Errorf("the victim finds %s, want %s altered", describe(report.Break), a.events[i].ID)
		}
	}
}

// The log may be behind the events, or be derived again from the beginning.
func TestALogThatIsBehindIsNoHarm(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	a.exec(t, `TRUNCATE transparency_logs, transparency_tiles`)
	for _, logged := range []int{0, 1, 255, 4_711} {
		err := pgx.BeginFunc(t.Context(), a.superuser, func(tx pgx.Tx) error {
			return logAndSign(t.Context(), tx, a.events[:logged], nil)
		})
		if err != nil {
			t.Fatal(err)
		}
		report, err := a.verifier(a.outside()).Verify(t.Context(), replay.Scope{})
		if err != nil || report.Break != nil || report.Checked != bookedEvents {
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
			a := newArchive(t)
			a.exec(t, sql, transparency.Whole)
			report, err := a.verifier(a.outside()).Verify(t.Context(), replay.Scope{})
			if err != nil || report.Break == nil || report.Break.Kind != replay.AlteredLog {
				t.Errorf("found %s, %v; want %s", describe(report.Break), err, replay.AlteredLog)
			}
		})
	}
}

// Where the log was made to fit but the checkpoints were left, one can only say
// between which of them something was done.
func TestWhatCannotBeToldApartIsSaidSo(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	i := harms["replaced, its stream sealed again"].do(t, a)
	a.exec(t, `TRUNCATE transparency_logs, transparency_tiles`)
	err := pgx.BeginFunc(t.Context(), a.superuser, func(tx pgx.Tx) error { return logAndSign(t.Context(), tx, a.read(t), nil) })
	if err != nil {
		t.Fatal(err)
	}
	report, err := a.verifier().Verify(t.Context(), replay.Scope{})
	if err != nil || report.Break == nil || report.Break.Kind != replay.Undetermined || report.Break.Index != i/signedEvery*signedEvery {
		t.Errorf("found %s, %v; want %s from %d on", describe(report.Break), err, replay.Undetermined, i/signedEvery*signedEvery)
	}
}

// While many write, and the log and the signer follow, nothing is ever wrong.
func TestALedgerBeingWrittenAtFullSpeedVerifies(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	const patience = 2 * time.Minute
	ctx, stop := context.WithTimeout(t.Context(), patience)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	for w := range 8 {
		record, err := a.events[9_000+w*10].Decode()
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			for ctx.Err() == nil {
				draft := record.Draft
				draft.ID, draft.Time = uuid.New(), time.Now()
				if _, err := a.store.Append(ctx, record.Stream, eventstore.Any(), draft); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	all.Go(func() { a.followAndSign(ctx, t) })
	var verified, added int64
	for ; ctx.Err() == nil && (verified < 5 || added < 100); verified++ {
		report, err := a.verifier(a.outside()).Verify(ctx, replay.Scope{})
		mustHold(t, ctx, report, err)
		fresh, err := a.verifier(a.outside()).ReportNew(ctx)
		mustHold(t, ctx, fresh, err)
		one, err := a.verifier().Verify(ctx, replay.Scope{Organization: domain.OrganizationID{UUID: a.events[9_000].Organization}})
		mustHold(t, ctx, one, err)
		added = max(added, report.Checked-bookedEvents)
	}
	if ctx.Err() != nil {
		t.Errorf("verified %d times while %d events came: that shows nothing", verified, added)
	}
}

func mustHold(t *testing.T, ctx context.Context, report replay.Report, err error) {
	t.Helper()
	if ctx.Err() == nil && (err != nil || report.Break != nil) {
		t.Errorf("found %s, %v in an intact ledger", describe(report.Break), err)
	}
}

// followAndSign is the projection and the signer, as fast as they can.
func (a *archive) followAndSign(ctx context.Context, t *testing.T) {
	subscription := a.store.Subscribe(bookedEvents, eventstore.Filter{})
	defer subscription.Close()
	for {
		batch, err := subscription.Next(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil && len(batch.Events) > 0 {
			err = pgx.BeginFunc(ctx, a.superuser, func(tx pgx.Tx) error { return logAndSign(ctx, tx, batch.Events, signingKey) })
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
			return
		}
	}
}

func TestVerifyingWhatIsNewTakesNoMore(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	verify := func(want int64) {
		t.Helper()
		checked, broken, err := a.verifier(a.outside()).VerifyNew(t.Context())
		if err != nil || broken != nil || checked != want {
			t.Fatalf("checked %d, found %s, %v; want %d and nothing", checked, describe(broken), err, want)
		}
	}
	verify(bookedEvents)
	verify(0)
	a.writeOn(t, 250)
	verify(250) // the log is behind
	verify(250)
	err := pgx.BeginFunc(t.Context(), a.superuser, func(tx pgx.Tx) error { return logAndSign(t.Context(), tx, a.read(t), signingKey) })
	if err != nil {
		t.Fatal(err)
	}
	verify(250)
	verify(0)
	a.exec(t, `UPDATE verifications SET edge = edge || edge`)
	verify(bookedEvents + 250) // somebody changed what was remembered
	verify(0)
	a.exec(t, `UPDATE verifications SET edge = set_byte(edge, 3, get_byte(edge, 3) # 1)`)
	verify(bookedEvents + 250)
	verify(0)
}

func TestVerifyingWhatIsNewFindsWhatVerifyingAllFinds(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"the last 100 gone", "yesterday's backup, written on", "yesterday's backup, hardly written on", "written anew"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newArchive(t)
			if _, broken, err := a.verifier().VerifyNew(t.Context()); err != nil || broken != nil {
				t.Fatal(describe(broken), err)
			}
			h := harms[name]
			index := h.do(t, a)
			a.fitLog(t)
			_, broken, err := a.verifier(a.outside()).VerifyNew(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			h.expect(t, a, broken, index, true)
		})
	}
	t.Run("a new event altered", func(t *testing.T) {
		t.Parallel()
		a := newArchive(t)
		if _, broken, err := a.verifier().VerifyNew(t.Context()); err != nil || broken != nil {
			t.Fatal(describe(broken), err)
		}
		a.writeOn(t, 20)
		a.exec(t, `UPDATE events SET record = set_byte(record, 400, get_byte(record, 400) # 1) WHERE position = $1`, bookedEvents+10)
		_, broken, err := a.verifier().VerifyNew(t.Context())
		if err != nil || broken == nil || broken.Kind != replay.AlteredEvent || broken.Index != bookedEvents+9 {
			t.Errorf("found %s, %v; want event %d altered", describe(broken), err, bookedEvents+9)
		}
	})
}
