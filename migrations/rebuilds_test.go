package migrations_test

import (
	"testing"

	"github.com/sentryagent/agentidp/internal/pgtest"
)

// The functions that rebuild read models have their owner's rights. They lend
// them to the projector alone, and for nothing but read models.
func TestRebuildFunctionsLendNoMoreThanRebuildsNeed(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Migrated)
	server := connect(t, db.ServerURL)
	const insufficient = "42501"
	for _, statement := range []string{
		`SELECT begin_rebuild('agents', 1, 0, '{agents}', '{}', 'me')`,
		`SELECT finish_rebuild('agents')`,
		`SELECT protect_rebuild('agents')`,
		`SELECT switch_rebuild('agents')`,
		`SELECT drop_previous('{agents}')`,
	} {
		if code := refusal(t, server, statement); code != insufficient {
			t.Errorf("the server, not being the projector: %s: SQLSTATE %q, want %s", statement, code, insufficient)
		}
	}
	exec(t, server, `SET ROLE agentidp_projector`)
	for _, statement := range []string{
		`SELECT begin_rebuild('x', 1, 0, '{events}', '{}', 'me')`,
		`SELECT begin_rebuild('x', 1, 0, '{agents,projection_checkpoints}', '{}', 'me')`,
		`SELECT begin_rebuild('x', 1, 0, '{"agents; DROP TABLE events"}', '{}', 'me')`,
		`SELECT drop_previous('{events}')`,
		`SELECT protect_next('agents')`,
		`INSERT INTO projection_rebuilds DEFAULT VALUES`,
		`UPDATE projection_rebuilds SET tables = '{events}'`,
		`DELETE FROM projection_rebuilds`,
		`CREATE TABLE next.mine ()`,
		`CREATE TABLE previous.mine ()`,
	} {
		if code := refusal(t, server, statement); code != insufficient {
			t.Errorf("the projector: %s: SQLSTATE %q, want %s", statement, code, insufficient)
		}
	}
	// What is being rebuilt is out of the reach of who serves.
	exec(t, server, `SELECT begin_rebuild('agents', 1, 0, '{agents}', '{}', 'me')`, `SELECT FROM next.agents`, `RESET ROLE`)
	if code := refusal(t, server, `SELECT FROM next.agents`); code != insufficient {
		t.Errorf("the server reads the table that is being filled: SQLSTATE %q, want %s", code, insufficient)
	}
}
