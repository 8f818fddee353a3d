package migrations

import (
	"maps"
	"slices"
	"strings"
)

// The two roles of a database. They belong to the whole cluster, and a dump of a
// database does not have them.
const (
	// ServerRole is what a serving process may do. Its login is a member of it.
	ServerRole = "agentidp_server"
	// ProjectorRole writes the read models and sees every organization.
	ProjectorRole = "agentidp_projector"
)

// table says who may do what with a table. Every table of the schema has its row:
// what does not stand here nobody may do but the owner.
type table struct {
	name      string
	server    string // privileges, in SQL
	projector string
	tenant    bool // rows belong to organizations: row-level security, forced, and two policies
}

const (
	reads  = "SELECT"
	writes = "SELECT, INSERT, UPDATE, DELETE"
)

// tables are the rights that the migrations give. A migration that makes a table
// or changes its rights changes its row as well.
//
// Some tables have no tenants, so no row-level security. In events everybody
// finds everything, for the chain can only be verified whole. Of snapshots,
// idempotency_keys and used_assertions nothing is shown to a tenant: the server
// looks up one row by a key that the caller cannot choose for another.
var tables = []table{
	{name: "events", server: "SELECT, INSERT", projector: reads},
	{name: "ledger_head", server: "SELECT, UPDATE", projector: reads},
	{name: "goose_db_version", server: reads},

	{name: "snapshots", server: writes},
	{name: "idempotency_keys", server: writes},
	{name: "used_assertions", server: "SELECT, INSERT, DELETE"},
	{name: "signing_keys", server: "SELECT, INSERT, DELETE, UPDATE (retired_at, served_at)"},
	{name: "signing_key_servers", server: writes},
	{name: "did_keys", server: "SELECT, INSERT, DELETE"},
	{name: "job_runs", server: "SELECT, INSERT, UPDATE"},
	{name: "verifications", server: "SELECT, INSERT, UPDATE"},
	{name: "ledger_anchor", server: "SELECT, INSERT, UPDATE"},
	{name: "revocation_snapshot", server: "SELECT, INSERT, UPDATE"},
	{name: "shared_settings", server: "SELECT, INSERT, UPDATE"},

	{name: "read_models"},
	{name: "projection_checkpoints", server: reads, projector: writes},
	{name: "projection_rebuilds", server: reads, projector: "SELECT, UPDATE (position, head, holder, updated_at)"},
	{name: "organizations", server: reads, projector: writes, tenant: true},
	{name: "organization_members", server: reads, projector: writes, tenant: true},
	{name: "agents", server: reads, projector: writes, tenant: true},
	{name: "credentials", server: reads, projector: writes, tenant: true},
	{name: "dids", server: reads, projector: writes, tenant: true},
	{name: "delegations", server: reads, projector: writes, tenant: true},
	{name: "ended_credentials", server: reads, projector: writes, tenant: true},
	{name: "credential_eras", server: reads, projector: writes, tenant: true},
	{name: "federation_partners", server: reads, projector: writes, tenant: true},
	{name: "audit_events", server: reads, projector: writes, tenant: true},
	{name: "audit_counts", server: reads, projector: writes, tenant: true},
	{name: "delegated_tokens", server: reads, projector: writes, tenant: true},
	{name: "agent_activity", server: reads, projector: writes, tenant: true},
	{name: "token_usage", server: reads, projector: writes, tenant: true},
	{name: "transparency_logs", server: reads, projector: writes, tenant: true},
	{name: "transparency_tiles", server: reads, projector: writes, tenant: true},
	{name: "checkpoints", server: reads, projector: "SELECT, INSERT", tenant: true},
	{name: "checkpoint_cosignatures", server: reads, projector: "SELECT, INSERT, UPDATE", tenant: true},
}

// policy is a rule of row-level security. It is compared as PostgreSQL tells it.
type policy struct {
	name, command, role string
	using, check        string
}

var policies = []policy{
	{
		name: "tenant", command: "SELECT", role: ServerRole,
		using: "(organization_id = (NULLIF(current_setting('agentidp.organization'::text, true), ''::text))::uuid)",
	},
	{name: "projector", command: "ALL", role: ProjectorRole, using: "true", check: "true"},
}

// functions are those that the projector may call. They have their owner's rights.
var functions = []string{
	"fits_live", "begin_rebuild", "finish_rebuild", "analyze_next", "protect_rebuild", "switch_rebuild", "drop_previous",
	"begin_verification", "analyze_verification",
}

// inside are those that only other functions and triggers call.
var inside = []string{"must_be_read_model", "protect_next", "move_ledger_head", "check_ledger_head", "refuse_ledger_head"}

// trigger guards the ledger. The ones that fire ALWAYS cannot be silenced by
// session_replication_role.
type trigger struct {
	name, table string
	always      bool
	definition  string // what follows its name in CREATE TRIGGER
}

var triggers = []trigger{
	{"events_are_append_only", "events", true,
		"BEFORE UPDATE OR DELETE OR TRUNCATE ON public.events FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_ledger_change()"},
	{"events_move_the_head", "events", false,
		"AFTER INSERT ON public.events REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION public.move_ledger_head()"},
	{"ledger_head_stays", "ledger_head", true,
		"BEFORE DELETE OR TRUNCATE ON public.ledger_head FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_ledger_change()"},
	{"ledger_head_moves_forward", "ledger_head", true,
		"BEFORE UPDATE ON public.ledger_head FOR EACH ROW WHEN (NEW.position < OLD.position) EXECUTE FUNCTION public.refuse_ledger_change()"},
	{"ledger_head_follows_events", "ledger_head", false,
		"BEFORE UPDATE ON public.ledger_head FOR EACH ROW WHEN (NEW.position <> OLD.position AND pg_trigger_depth() = 0) EXECUTE FUNCTION public.check_ledger_head()"},
}

// grants are the privileges of one role, each as "SELECT" or "UPDATE (column)".
type grants map[string]bool

// parseGrants reads a list of privileges in SQL.
func parseGrants(list string) grants {
	g := grants{}
	for list != "" {
		var columns string
		end := strings.IndexAny(list, ",(")
		privilege := list
		switch {
		case end < 0:
			list = ""
		case list[end] == '(':
			privilege = list[:end]
			columns, list, _ = strings.Cut(list[end+1:], ")")
			list = strings.TrimLeft(list, ", ")
		default:
			privilege, list = list[:end], list[end+1:]
		}
		privilege = strings.TrimSpace(privilege)
		if columns == "" {
			g[privilege] = true
			continue
		}
		for column := range strings.SplitSeq(columns, ",") {
			g[privilege+" ("+strings.TrimSpace(column)+")"] = true
		}
	}
	return g
}

func (g grants) String() string { return strings.Join(slices.Sorted(maps.Keys(g)), ", ") }
