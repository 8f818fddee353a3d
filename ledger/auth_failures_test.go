package ledger_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/eventstore/storetest"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// failures is a ledger whose clock the test moves, and the failures on record.
type failures struct {
	*ledger.Ledger
	store *memory.Store
	now   time.Time
}

func newFailures() *failures {
	f := &failures{store: memory.New(), now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	f.Ledger = ledger.New(f.store, nil, revocation.New(f.store, revocation.Options{}), ledger.Options{Now: func() time.Time { return f.now }})
	return f
}

func (f *failures) fail(t *testing.T, organization domain.OrganizationID, client, address string) {
	t.Helper()
	origin := ledger.Origin{Actor: ledger.Actor{Kind: "anonymous"}, Request: ledger.Request{IP: address}}
	if err := f.RecordAuthFailure(t.Context(), origin, organization, client, domain.AuthWrongSecret); err != nil {
		t.Fatal(err)
	}
}

// recorded is a failure as it stands in the ledger.
type recorded struct {
	domain.AuthFailed
	organization uuid.UUID
}

func (f *failures) recorded(t *testing.T) (all []recorded) {
	t.Helper()
	if err := f.FlushAuthFailures(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	for _, e := range storetest.All(t, f.store) {
		record, err := e.Decode()
		if err != nil {
			t.Fatal(err)
		}
		fact, err := domain.Decode(domain.Type(record.Type), record.Schema, record.Data)
		if err != nil {
			t.Fatal(err)
		}
		if failed, is := fact.(domain.AuthFailed); is {
			all = append(all, recorded{failed, e.Organization})
		}
	}
	return all
}

func TestFailedAuthenticationsCannotFloodTheLedger(t *testing.T) {
	t.Parallel()
	f := newFailures()
	const failures = 1000
	for range failures {
		f.fail(t, domain.OrganizationID{}, "mallory", "")
	}
	all, counted := f.recorded(t), 0
	for _, failed := range all {
		counted += 1 + failed.Suppressed
	}
	if len(all) != 2 || counted != failures {
		t.Errorf("%d events for %d failures, which add up to %d; want 2 events", len(all), failures, counted)
	}
}

// TestCountsOfFailuresKeepTheirSources: an attack from many addresses must not
// look like one from the first of them.
func TestCountsOfFailuresKeepTheirSources(t *testing.T) {
	t.Parallel()
	f := newFailures()
	for i := range 60 {
		f.fail(t, domain.OrganizationID{}, "mallory", fmt.Sprint("192.0.2.", i/2))
	}
	all := f.recorded(t)
	if len(all) != 2 {
		t.Fatalf("%d events, want 2", len(all))
	}
	if want := []string{"192.0.2.0", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}; !slices.Equal(all[1].Addresses, want) {
		t.Errorf("the count names %q, want %q", all[1].Addresses, want)
	}
	f.now = f.now.Add(time.Minute) // what was told is not told twice
	f.fail(t, domain.OrganizationID{}, "mallory", "198.51.100.1")
	if all := f.recorded(t); len(all) != 3 || all[2].Suppressed != 0 || all[2].Addresses != nil {
		t.Errorf("the next failure: %+v", all[len(all)-1])
	}
}

// TestCountsOfManyClientsAreNobodys: with more clients than are remembered,
// failures are counted together. The count must not stand in the trail of the
// tenant whose client's failure happens to be recorded.
func TestCountsOfManyClientsAreNobodys(t *testing.T) {
	t.Parallel()
	f := newFailures()
	const remembered, others = 10_000, 2_000
	for i := range remembered + others {
		f.fail(t, domain.OrganizationID{}, fmt.Sprint("client-", i), "198.51.100.1")
	}
	f.now = f.now.Add(5 * time.Second) // the burst is over, no kind is forgotten yet
	tenant := domain.OrganizationID{UUID: uuid.Must(uuid.NewV7())}
	f.fail(t, tenant, "client-of-a-tenant", "203.0.113.5")
	all := f.recorded(t)
	found := false
	for _, failed := range all {
		if failed.ClientID == "client-of-a-tenant" || failed.organization == tenant.UUID {
			t.Errorf("on record for the tenant: %+v", failed)
		}
		if failed.ClientID == "(many)" {
			found = true
			if failed.Suppressed != others {
				t.Errorf("the common count tells of %d others, want %d", failed.Suppressed, others)
			}
		}
	}
	if !found {
		t.Error("the common count is not on record")
	}
}
