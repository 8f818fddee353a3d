package upkeep

import (
	"context"

	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/migrations"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/server/stores"
)

// AdoptSettings has all servers that start from now on have these settings, and
// tells what has changed. No server may run meanwhile: the error is
// [projections.ErrRunning] then.
func AdoptSettings(ctx context.Context, c config.Config) ([]stores.SettingChange, error) {
	pool, err := stores.OpenDatabase(ctx, c)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	if err := migrations.Check(ctx, pool); err != nil {
		return nil, err
	}
	changes, err := stores.SharedChanges(ctx, pool, stores.SharedSettings(c))
	if err != nil || len(changes) == 0 {
		return nil, err
	}
	release, err := projections.Seize(ctx, pool, readmodels.All())
	if err != nil {
		return nil, err
	}
	defer release()
	return changes, stores.ReplaceShared(ctx, pool, stores.SharedSettings(c)...)
}
