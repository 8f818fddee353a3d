package system_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/devservices"
	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/server/upkeep"
)

// world is what the servers of one test share: a database, a Redis, a master
// key and the operator, made by the program's own commands.
type world struct {
	settings     []string
	superuserURL string // of the servers' database
	operator     upkeep.Operator
	eventStore   *wiretest.Cluster // nil where the ledger is elsewhere
	servers      *atomic.Int64     // that were launched
}

// newWorld makes a world on an empty database of the services all tests share.
func newWorld(tb testing.TB, settings ...string) *world {
	tb.Helper()
	database := pgtest.New(tb, pgtest.Template{})
	w := emptyWorld(tb, database.ServerURL, database.OwnerURL, pgtest.Redis(tb), settings...)
	w.superuserURL = database.SuperuserURL
	w.prepare(tb)
	return w
}

// newPrivateWorld makes a world on services that the test may stop.
func newPrivateWorld(tb testing.TB, settings ...string) (*world, *devservices.Services) {
	tb.Helper()
	services := pgtest.Private(tb)
	w := emptyWorld(tb, services.DatabaseURL, services.OwnerDatabaseURL, services.RedisURL, settings...)
	w.superuserURL = services.SuperuserURL
	w.prepare(tb)
	return w, services
}

func emptyWorld(tb testing.TB, serverURL, ownerURL, redisURL string, settings ...string) *world {
	tb.Helper()
	return &world{servers: new(atomic.Int64), settings: append([]string{
		"DATABASE_URL=" + serverURL,
		"MIGRATE_DATABASE_URL=" + ownerURL,
		"REDIS_URL=" + redisURL,
		"MASTER_KEY_FILE=" + filepath.Join(tb.TempDir(), "master.key"),
		"LISTEN_HOST=127.0.0.1",
		"METRICS_PORT=0",
		"RATE_LIMIT_MAX_REQUESTS=0", // a load would meet nothing else
		"TIER_ENFORCEMENT=false",
		"PUBLIC_URL=http://agentidp.test",
		"JWT_SIGNING_ALG=ES256",
	}, settings...)}
}

func (w *world) prepare(tb testing.TB) {
	tb.Helper()
	if r := runToEnd(tb, w.settings, "migrate"); r.code != exitOK {
		tb.Fatalf("migrate: code %d\n%s", r.code, r.stderr)
	}
	r := runToEnd(tb, w.settings, "bootstrap")
	if r.code != exitOK {
		tb.Fatalf("bootstrap: code %d\n%s", r.code, r.stderr)
	}
	if err := json.Unmarshal([]byte(r.stdout), &w.operator); err != nil {
		tb.Fatalf("bootstrap printed %q: %v", r.stdout, err)
	}
}

// node is a run of the serve command that answers.
type node struct {
	*process
	*client
	port int
}

// serve starts a server on a free port.
func (w *world) serve(tb testing.TB, settings ...string) *node {
	tb.Helper()
	return w.serveOn(tb, freePort(tb), settings...)
}

func (w *world) serveOn(tb testing.TB, port int, settings ...string) *node {
	tb.Helper()
	s := w.launchServer(tb, port, settings...)
	s.awaitOutput(tb, &s.stderr, `"msg":"serving"`)
	return s
}

func (w *world) launchServer(tb testing.TB, port int, settings ...string) *node {
	tb.Helper()
	environ := append(append([]string{}, w.settings...), "PORT="+strconv.Itoa(port))
	p := launchAs(tb, w.nextServer(), append(environ, settings...), "serve")
	return &node{process: p, client: newClient(tb, "http://127.0.0.1:"+strconv.Itoa(port)), port: port}
}

// nextServer is the program of the next server. OLD_PROGRAM names that of an earlier
// release: then every second server is one of those, as during a rolling upgrade.
func (w *world) nextServer() string {
	if old := os.Getenv("OLD_PROGRAM"); old != "" && w.servers.Add(1)%2 == 0 {
		return old
	}
	return program
}

// freePort is a port below those that outgoing connections get: while a server
// is down, a client that dials its port must not be given that very port and
// connect to itself.
func freePort(tb testing.TB) int {
	tb.Helper()
	const first, last, attempts = 15000, 32767, 100
	for range attempts {
		port := first + rand.IntN(last-first+1)
		listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			_ = listener.Close()
			return port
		}
	}
	tb.Fatal("no free port was found")
	return 0
}

// superuser is a pool on the servers' database that may do everything.
func (w *world) superuser(tb testing.TB) *pgxpool.Pool {
	tb.Helper()
	database, err := url.Parse(w.setting("DATABASE_URL"))
	if err != nil {
		tb.Fatal(err)
	}
	super, err := url.Parse(w.superuserURL)
	if err != nil {
		tb.Fatal(err)
	}
	super.Path = database.Path
	return pgtest.Pool(tb, super.String())
}

func (w *world) setting(name string) (value string) {
	for _, setting := range w.settings {
		if v, found := strings.CutPrefix(setting, name+"="); found {
			value = v
		}
	}
	return value
}

// openLedger opens the ledger and its database as an auditor does.
func (w *world) openLedger(tb testing.TB) *upkeep.Ledger {
	tb.Helper()
	ledger := w.open(tb)
	tb.Cleanup(ledger.Close)
	return ledger
}

// open is openLedger for who closes it.
func (w *world) open(tb testing.TB) *upkeep.Ledger {
	tb.Helper()
	settings, err := config.Load(w.settings, "")
	if err != nil {
		tb.Fatal(err)
	}
	ledger, err := upkeep.OpenLedger(tb.Context(), settings)
	if err != nil {
		tb.Fatal(err)
	}
	return ledger
}

// openStore opens the ledger alone.
func (w *world) openStore(tb testing.TB) eventstore.Store {
	tb.Helper()
	return w.openLedger(tb).Store
}

// mustHoldInLedger reads the whole ledger: its positions are dense where the
// engine's are, its chain holds, and every token has its event where its claim
// says, with its jti.
func (w *world) mustHoldInLedger(tb testing.TB, tokens []string) {
	tb.Helper()
	issued := map[eventstore.Position]domain.TokenID{}
	store := w.openStore(tb)
	chain := eventstore.NewChain(eventstore.ChainOptions{Dense: eventstore.Dense(store)})
	for event, err := range store.ReadAll(within(tb, patience), 0, eventstore.Filter{}) {
		if err != nil {
			tb.Fatal(err)
		}
		if err := chain.Check(event); err != nil {
			tb.Errorf("the chain does not hold: %v", err)
		}
		if fact, ok := decoded(tb, event).(domain.TokenIssued); ok {
			issued[event.Position] = fact.TokenID
		}
	}
	seen := map[string]bool{}
	for _, token := range tokens {
		claims := claimsOf(tb, token)
		if seen[claims.ID] {
			tb.Errorf("two tokens have the jti %s", claims.ID)
		}
		seen[claims.ID] = true
		if got := issued[claims.Ledger]; got.String() != claims.ID {
			tb.Errorf("a client has token %s, whose event should be at %d; there is %q", claims.ID, claims.Ledger, got)
		}
	}
	tb.Logf("%d events hold, %d of them issuances; clients have %d tokens", chain.Count(), len(issued), len(tokens))
}

func decoded(tb testing.TB, event eventstore.Event) domain.Event {
	tb.Helper()
	record, err := event.Decode()
	if err != nil {
		tb.Fatalf("event at %d: %v", event.Position, err)
	}
	fact, err := domain.Decode(domain.Type(record.Type), record.Schema, record.Data)
	if err != nil {
		tb.Fatalf("event at %d: %v", event.Position, err)
	}
	return fact
}

// tenant is an organization with an agent that has a credential.
type tenant struct {
	operatorToken string
	organization  string
	agent         string
	credential    string
	secret        string
}

// tenant makes one whose organization has no quotas.
func (s *node) tenant(tb testing.TB, w *world) *tenant {
	tb.Helper()
	return s.tenantWith(tb, w, map[string]any{"planTier": "enterprise"})
}

func (s *node) tenantWith(tb testing.TB, w *world, organization map[string]any) *tenant {
	tb.Helper()
	t := &tenant{operatorToken: s.mustToken(tb, w.operator.ClientID, w.operator.ClientSecret,
		"admin:orgs agents:read agents:write audit:read tokens:read")}
	name := fmt.Sprintf("tenant-%016x", rand.Uint64())
	fields := map[string]any{"name": name, "slug": name}
	maps.Copy(fields, organization)
	t.organization = s.must(tb, http.StatusCreated, http.MethodPost, "/api/v1/organizations", t.operatorToken, fields).text("organizationId")
	t.agent = s.must(tb, http.StatusCreated, http.MethodPost, "/api/v1/agents", t.operatorToken, t.registration("first-of-"+name)).text("agentId")
	credential := s.must(tb, http.StatusCreated, http.MethodPost, "/api/v1/agents/"+t.agent+"/credentials", t.operatorToken, map[string]any{})
	t.credential, t.secret = credential.text("credentialId"), credential.text("clientSecret")
	return t
}

// registration is the body of a POST of an agent.
func (t *tenant) registration(name string) map[string]any {
	return map[string]any{
		"organizationId": t.organization, "email": name + "@agents.example", "agentType": "screener", "version": "1.0.0",
		"owner": "tests", "deploymentEnv": "development", "capabilities": []string{}, "scopes": []string{"agents:read", "audit:read", "tokens:read"},
	}
}

// waiting waits until a number of the database's sessions wait for a lock, and
// gives their process ids.
func waiting(tb testing.TB, pool *pgxpool.Pool, sessions int) []int32 {
	tb.Helper()
	const who = `SELECT coalesce(array_agg(pid), '{}') FROM pg_stat_activity
		WHERE datname = current_database() AND wait_event_type = 'Lock'`
	var pids []int32
	await(tb, "a session that waits for a lock", func(ctx context.Context) error {
		if err := pool.QueryRow(ctx, who).Scan(&pids); err != nil {
			return err
		}
		if len(pids) < sessions {
			return fmt.Errorf("%d sessions wait, want %d", len(pids), sessions)
		}
		return nil
	})
	return pids
}
