package readmodels_test

import (
	"testing"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger/ledgertest"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// A command waits for the core read models that want its events, so each event
// that changes the registry is wanted by one.
func TestWhatChangesTheRegistryIsInAReadModel(t *testing.T) {
	t.Parallel()
	for _, name := range domain.Types() {
		var wantedBy []string
		for _, p := range readmodels.All() {
			if p.Core && p.Wants(name) {
				wantedBy = append(wantedBy, p.Name)
			}
		}
		for file, fact := range ledgertest.Golden(t, "../../domain/testdata/golden", name) {
			if changes := domain.Changes(fact); (changes != domain.Nothing) != (len(wantedBy) > 0) {
				t.Errorf("%s changes %s; core read models that want it: %q. A core read model wants events that change something, and no others", file, changes, wantedBy)
			}
		}
	}
}
