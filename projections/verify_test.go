package projections_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

func TestVerifyNamesChangedMissingAndExtraRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	last := w.brought(t, 3000)
	w.mustVerify(t, readmodels.All()...)
	var agent string
	if err := w.admin.QueryRow(t.Context(), `SELECT agent_id::text FROM agents LIMIT 1`).Scan(&agent); err != nil {
		t.Fatal(err)
	}
	w.exec(t, fmt.Sprintf(`UPDATE agents SET owner = 'mallory', metadata = metadata || ' ' WHERE agent_id = '%s'`, agent),
		`DELETE FROM audit_events WHERE position = 1234`,
		fmt.Sprintf(`INSERT INTO audit_events SELECT %d, revision, recorded_at, event_id, organization_id, agent_id, action, outcome, stream
			FROM audit_events WHERE position = 1000`, last+7))
	var found []string
	for _, result := range projections.NewVerifier(w.pool, w.store, projections.VerifyOptions{}).Verify(t.Context(), readmodels.All()...) {
		if result.Err != nil || result.Position == 0 || result.Rows == 0 {
			t.Errorf("%+v, want rows compared", result)
		}
		if int(result.Different) != len(result.Found) {
			t.Errorf("%s: %d differences, %d named", result.Projection, result.Different, len(result.Found))
		}
		for _, d := range result.Found {
			found = append(found, result.Projection+": "+d.String())
		}
	}
	want := []string{
		"agents: agents agent_id=" + agent + ": changed in metadata, owner",
		"audit: audit_events position=1234: missing",
		fmt.Sprintf("audit: audit_events position=%d: extra", last+7),
	}
	if slices.Sort(found); !slices.Equal(found, want) {
		t.Errorf("found %q\nwant %q", found, want)
	}
}

// Verification derives while the live tables move on, and compares at one position.
func TestVerifyUnderLoadFindsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.brought(t, 3000)
	w.follow(t)
	load := w.load(t, nil)
	for range 5 {
		w.mustVerify(t, readmodels.All()...)
	}
	load.end(t)
}
