package projections_test

import (
	"testing"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// Events that do not concern a projection cost it no transaction each, also
// where positions are places in a log and one event is hundreds of them.
func TestWhatDoesNotConcernAProjectionCostsNoTransactions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cluster := wiretest.Start(t, 1)
	store, err := esdb.New(cluster.URL(), esdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	const count = `CREATE TABLE moved (name text);
		CREATE FUNCTION count_moves() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
			BEGIN INSERT INTO public.moved VALUES (NEW.name); RETURN NULL; END $$;
		CREATE TRIGGER moves AFTER UPDATE ON projection_checkpoints FOR EACH ROW EXECUTE FUNCTION count_moves()`
	if _, err := w.admin.Exec(t.Context(), count); err != nil {
		t.Fatal(err)
	}
	agents := []projections.Projection{readmodels.Agents()}
	progress := projections.NewProgress(w.pool, store, agents, projections.ProgressOptions{})
	run(t, projections.NewRunner(w.pool, store, agents, projections.RunnerOptions{Progress: progress}))
	run(t, progress)
	organization, id := newOrganizationID(), newAgentID()
	last := record(t, store, domain.AgentStream(id), organization, created(id, organization))
	const tokens = 300
	for range tokens {
		last = record(t, store, newStream(), newOrganizationID(), issued(newAgentID(), newCredentialID()))
		waitAll(t, progress, last)
	}
	eventually(t, "the end is stored, without anything else happening", func() bool {
		var position eventstore.Position
		err := w.admin.QueryRow(t.Context(), `SELECT position FROM projection_checkpoints WHERE name = 'agents'`).Scan(&position)
		return err == nil && position == last
	})
	var moves int
	if err := w.admin.QueryRow(t.Context(), `SELECT count(*) FROM moved`).Scan(&moves); err != nil {
		t.Fatal(err)
	}
	if moves == 0 || moves > tokens/10 {
		t.Errorf("%d transactions for one event that concerns the projection and %d that do not", moves, tokens)
	}
}
