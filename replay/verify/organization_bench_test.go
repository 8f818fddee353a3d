package verify_test

import (
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/postgres"
	"github.com/sentryagent/agentidp/eventstore/storetest"
	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/replay/verify"
)

// BenchmarkOrganization verifies an organization with 1,000 events, spread over
// a ledger of BENCH_EVENTS (by default 100,000) events of others.
func BenchmarkOrganization(b *testing.B) {
	const few = 1000
	events := 100_000
	if text := os.Getenv("BENCH_EVENTS"); text != "" {
		var err error
		if events, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	database := pgtest.New(b, pgtest.Migrated)
	store := postgres.New(b.Context(), pgtest.Pool(b, database.ServerURL), postgres.Options{})
	b.Cleanup(store.Close)
	small, large := uuid.New(), []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	var batch []eventstore.Draft
	for i := range events {
		draft := storetest.NewDraft("token.issued")
		draft.Organization = large[i%len(large)]
		if i%(events/few) == 0 {
			draft.Organization = small
		}
		batch = append(batch, draft)
	}
	for some := range slices.Chunk(batch, 500) {
		if _, err := store.Append(b.Context(), "stream-"+some[0].ID.String(), eventstore.Any(), some...); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := pgtest.Pool(b, database.SuperuserURL).Exec(b.Context(), "VACUUM ANALYZE events"); err != nil {
		b.Fatal(err)
	}
	verifier := verify.New(store, verify.Options{})
	scope := verify.Scope{}
	scope.Organization.UUID = small
	for b.Loop() {
		report, err := verifier.Verify(b.Context(), scope)
		if err != nil || report.Break != nil || report.Checked != few {
			b.Fatal(report, err)
		}
	}
}
