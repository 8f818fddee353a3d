package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/postgres"
	"github.com/sentryagent/agentidp/eventstore/storetest"
)

// The ledger is put back to an earlier state after a subscription has heard of
// newer events and before it has read them: it does not take them for read, and
// gives them once they are there again. So it is with every way to read them.
func TestNothingIsPassedOverThatWasPutBack(t *testing.T) {
	t.Parallel()
	organization := uuid.New()
	for name, filter := range map[string]eventstore.Filter{
		"all":             {},
		"a rare type":     {Types: []string{"a.x"}},
		"a common type":   {Types: []string{"a.x", "token.issued"}},
		"an organization": {Organization: organization},
		"a time":          {From: time.Now().Add(-time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := newDatabase(t)
			store := newStore(t, db.ServerURL, postgres.Options{})
			superuser, err := pgx.Connect(t.Context(), db.SuperuserURL)
			if err != nil {
				t.Fatal(err)
			}
			defer discardConn(t, superuser)
			exec := func(sql string) {
				t.Helper()
				if _, err := superuser.Exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
			appendSome := func(n int) eventstore.Position {
				t.Helper()
				drafts := make([]eventstore.Draft, n)
				for i := range drafts {
					drafts[i] = storetest.NewDraft("a.x")
					drafts[i].Organization = organization
				}
				appended, err := store.Append(t.Context(), "a-1", eventstore.Any(), drafts...)
				if err != nil {
					t.Fatal(err)
				}
				return appended.Position()
			}
			earlier := appendSome(5)
			sub := store.Subscribe(0, filter)
			defer sub.Close()
			if got := storetest.Follow(t, sub, earlier); len(got) != 5 {
				t.Fatalf("%d events, want 5", len(got))
			}
			end := appendSome(3)
			time.Sleep(100 * time.Millisecond) // it hears of them
			exec(fmt.Sprintf(`ALTER TABLE events DISABLE TRIGGER ALL; ALTER TABLE ledger_head DISABLE TRIGGER ALL;
				CREATE TABLE lost AS SELECT * FROM events WHERE position > %[1]d; DELETE FROM events WHERE position > %[1]d;
				UPDATE ledger_head SET position = %[1]d`, earlier))
			for range 3 {
				waiting, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
				batch, err := sub.Next(waiting)
				stop()
				if err == nil && batch.Position > earlier {
					t.Fatalf("Next = up to %d; the ledger ends at %d", batch.Position, earlier)
				}
				if lost := (*eventstore.LostError)(nil); err != nil && !errors.As(err, &lost) && !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("Next: %v", err)
				}
			}
			exec(`INSERT INTO events SELECT * FROM lost; DROP TABLE lost; UPDATE ledger_head SET position = (SELECT max(position) FROM events)`)
			if got := storetest.Follow(t, sub, end); len(got) != 3 {
				t.Errorf("%d events after they were put back, want 3", len(got))
			}
		})
	}
}
