package stores

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/internal/config"
)

// LedgerEngine is where the ledger is, as all who open it have to know: in the
// database itself, or on an EventStoreDB, there under a name. Looked for in another
// engine the ledger is empty, and an auditor would take it for cut off.
func LedgerEngine(c config.Config) Shared {
	engine := Shared{"EVENTSTORE", c.EventStore}
	if c.EventStore == config.EventStoreESDB {
		if _, name := config.CutLedger(c.ESDBURL); name != "" {
			engine.value += "/" + name
		}
	}
	return engine
}

// otherEngine: the settings name another engine than the database's ledger is in.
type otherEngine struct{ theirs, ours string }

func (e otherEngine) Error() string {
	set := "EVENTSTORE=postgres"
	if engine, name, named := strings.Cut(e.theirs, "/"); engine == config.EventStoreESDB {
		set = "EVENTSTORE=esdb, and ESDB_URL to its server"
		if named {
			set += ", with the path /" + name
		}
	}
	return fmt.Sprintf("the ledger of this database is in %s, and the settings here look for it in %s: set %s, as its servers have it. "+
		"Where the ledger has been moved, run with the settings of its new place: agentidp ledger adopt", placeOf(e.theirs), placeOf(e.ours), set)
}

func placeOf(engine string) string {
	kind, name, named := strings.Cut(engine, "/")
	switch {
	case kind != config.EventStoreESDB:
		return "PostgreSQL"
	case named:
		return fmt.Sprintf("EventStoreDB under the name %q", name)
	}
	return "EventStoreDB without a name"
}

// CheckEngine makes sure that the ledger is looked for where the servers before put
// it, as far as there were any.
func CheckEngine(ctx context.Context, pool *pgxpool.Pool, c config.Config) error {
	changes, err := SharedChanges(ctx, pool, []Shared{LedgerEngine(c)})
	if err != nil || len(changes) == 0 {
		return err
	}
	return otherEngine{changes[0].Theirs, changes[0].Ours}
}
