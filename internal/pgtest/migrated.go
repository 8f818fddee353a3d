package pgtest

import (
	"context"

	"github.com/sentryagent/agentidp/migrations"
)

// Migrated is a database with this build's schema, and nothing in it.
var Migrated = Template{
	Key: migrations.Fingerprint(),
	Prepare: func(ctx context.Context, ownerURL string) error {
		_, err := migrations.Up(ctx, ownerURL)
		return err
	},
}
