package config

import (
	"log/slog"
	"math"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Config is everything a server is told from outside. The comment of a field names its variable, default and bound.
//
// Config is a value: it is safe to copy and to read from several goroutines.
type Config struct {
	DatabaseURL        string // DATABASE_URL, required: the server's own role
	MigrateDatabaseURL string // MIGRATE_DATABASE_URL, default DATABASE_URL: the schema owner, used by `migrate` and `ledger adopt` alone
	RedisURL           string // REDIS_URL, required: redis:// or rediss://

	DBPoolMax               int           // DB_POOL_MAX, default 16, 1 to 10,000 connections
	DBPoolMin               int           // DB_POOL_MIN, default 2, 0 to DB_POOL_MAX
	DBPoolIdleTimeout       time.Duration // DB_POOL_IDLE_TIMEOUT_MS, default 30,000, 1,000 to a day
	DBPoolConnectionTimeout time.Duration // DB_POOL_CONNECTION_TIMEOUT_MS, default 5,000, 100 to 10 minutes

	ListenHost     string         // LISTEN_HOST, default "": every address of the machine
	Port           int            // PORT, default 3000, 1 to 65535
	MetricsHost    string         // METRICS_HOST, default 127.0.0.1: where MetricsPort listens
	MetricsPort    int            // METRICS_PORT, default 9464; 0: /metrics is served on Port
	MetricsPortSet bool           // METRICS_PORT is set: no other port will do where this one is taken
	MetricsAllow   []netip.Prefix // METRICS_ALLOW, default loopback: who may read /metrics on Port
	TrustedProxies []netip.Prefix // TRUSTED_PROXIES, default none: whose X-Forwarded-For is believed
	CORSOrigins    []string       // CORS_ORIGIN, default none: exact origins, or "*" alone

	PublicURL    string // PUBLIC_URL, default http://localhost:<PORT>: how the world reaches this server
	OIDCIssuer   string // OIDC_ISSUER, default PUBLIC_URL: `iss` of every token
	DIDWebDomain string // DID_WEB_DOMAIN, default host[:port] of PUBLIC_URL

	JWTSigningAlg string // JWT_SIGNING_ALG, default RS256: RS256 or ES256
	MasterKeyFile string // MASTER_KEY_FILE, required: made at the first start where it does not exist
	PolicyDir     string // POLICY_DIR, default "": the embedded policy
	A2AEnabled    bool   // A2A_ENABLED, default true: agents may delegate to each other

	EventStore         string        // EVENTSTORE, default postgres: the engine of the ledger, postgres or esdb
	ESDBLease          time.Duration // ESDB_LEASE_MS
	ESDBURL            string        // ESDB_URL, required with EVENTSTORE=esdb: esdb:// or esdb+discover://, see CutLedger
	AuditRetentionDays int           // AUDIT_RETENTION_DAYS, default 0: as the tier says; 0 to 36,500
	ReadWaitTimeout    time.Duration // READ_WAIT_TIMEOUT_MS, default 5,000, 1 to a minute: bound of a read-your-writes wait
	SnapshotEvery      int           // SNAPSHOT_EVERY, default 100, 1 to 1,000,000 events of one stream between two snapshots
	LedgerOrigin       string        // LEDGER_ORIGIN, default host[:port] of PUBLIC_URL: what signed checkpoints are called after
	CheckpointFile     string        // CHECKPOINT_FILE, default "checkpoints" beside MASTER_KEY_FILE: what was signed last
	CheckpointInterval time.Duration // CHECKPOINT_INTERVAL_MS, default 60,000, 1,000 to a day between two signatures
	WitnessKeys        []string      // WITNESS_KEYS, default none: verifier keys of witnesses whose cosignatures are taken
	ShutdownTimeout    time.Duration // SHUTDOWN_TIMEOUT_MS, default 10,000, 0 to 10 minutes
	DrainTime          time.Duration // DRAIN_SECONDS, default 0, 0 to 300: from SIGTERM until the port is closed
	IdleTimeout        time.Duration // IDLE_TIMEOUT_MS, default 120,000, 1,000 to an hour: of a kept connection

	RateLimitMaxRequests int           // RATE_LIMIT_MAX_REQUESTS, default 100, 0 to 10,000 in one window; 0: no rate limits
	RateLimitWindow      time.Duration // RATE_LIMIT_WINDOW_MS, default 60,000, 1,000 to an hour
	TierEnforcement      bool          // TIER_ENFORCEMENT, default true: the daily limits of the tiers hold

	ComplianceEnabled      bool          // COMPLIANCE_ENABLED, default true: the compliance report is served
	VerifyNewInterval      time.Duration // VERIFY_NEW_INTERVAL_MS, default an hour, 1,000 to a week
	VerifyAllInterval      time.Duration // VERIFY_ALL_INTERVAL_MS, default a day, 1,000 to 31 days
	CredentialScanInterval time.Duration // CREDENTIAL_SCAN_INTERVAL_MS, default an hour, 1,000 to a day
	ControlCheckInterval   time.Duration // CONTROL_CHECK_INTERVAL_MS, default 15 minutes, 1,000 to a day
	SigningKeyMaxAge       time.Duration // SIGNING_KEY_MAX_AGE_DAYS, default 365, 1 to 3,650 days

	LogLevel  slog.Level // LOG_LEVEL, default info: debug, info, warn or error
	LogFormat string     // LOG_FORMAT, default json: json or text
}

// The values of Config.JWTSigningAlg, Config.EventStore and Config.LogFormat.
const (
	AlgRS256 = "RS256"
	AlgES256 = "ES256"

	EventStorePostgres = "postgres"
	EventStoreESDB     = "esdb"

	LogJSON = "json"
	LogText = "text"
)

// Load reads a Config from environ, a list of NAME=value as [os.Environ] gives it, and from the file dotenvPath for
// what environ does not set. An empty path or a file that does not exist is no fault. The error is always [Faults].
func Load(environ []string, dotenvPath string) (Config, error) {
	return load(newReader(environ, dotenvPath))
}

// LoadForReading is Load for a command that reads the ledger and serves nobody. It has no use for REDIS_URL, which is
// not looked at, and MASTER_KEY_FILE may be unset.
func LoadForReading(environ []string, dotenvPath string) (Config, error) {
	r := newReader(environ, dotenvPath)
	r.readsOnly = true
	return load(r)
}

func load(r *reader) (Config, error) {
	var c Config
	r.services(&c)
	r.listeners(&c)
	r.identity(&c)
	r.ledger(&c)
	r.limits(&c)
	r.compliance(&c)
	if len(r.faults) > 0 {
		return Config{}, r.faults
	}
	return c, nil
}

// LocalAddress is the host and port at which a server with these settings answers on its own machine. It reads
// nothing else, so the rest may be missing. The error is always [Faults].
func LocalAddress(environ []string, dotenvPath string) (string, error) {
	r := newReader(environ, dotenvPath)
	host, port := r.listenHost("LISTEN_HOST", ""), r.port()
	if port == 0 {
		r.fault("PORT", `"0"`, "a port that is known", "set it to the port that the server has taken")
	}
	if len(r.faults) > 0 {
		return "", r.faults
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(port)), nil
}

func (r *reader) port() int { return r.integer("PORT", 3000, 0, math.MaxUint16) }

func (r *reader) services(c *Config) {
	c.DatabaseURL = r.databaseURL("DATABASE_URL", true)
	c.MigrateDatabaseURL = r.databaseURL("MIGRATE_DATABASE_URL", false)
	if c.MigrateDatabaseURL == "" {
		c.MigrateDatabaseURL = c.DatabaseURL
	}
	if !r.readsOnly {
		c.RedisURL = r.redisURL("REDIS_URL")
	}

	c.DBPoolMax = r.integer("DB_POOL_MAX", 16, 1, 10_000)
	c.DBPoolMin = r.integer("DB_POOL_MIN", min(2, c.DBPoolMax), 0, c.DBPoolMax)
	c.DBPoolIdleTimeout = r.milliseconds("DB_POOL_IDLE_TIMEOUT_MS", 30_000, 1_000, 86_400_000)
	c.DBPoolConnectionTimeout = r.milliseconds("DB_POOL_CONNECTION_TIMEOUT_MS", 5_000, 100, 600_000)
}

func (r *reader) listeners(c *Config) {
	c.ListenHost = r.listenHost("LISTEN_HOST", "")
	c.Port = r.port()
	c.MetricsHost = r.listenHost("METRICS_HOST", "127.0.0.1")
	c.MetricsPortSet = r.get("METRICS_PORT", "") != ""
	c.MetricsPort = r.integer("METRICS_PORT", 9464, 0, math.MaxUint16)
	if c.MetricsPort == c.Port && c.MetricsPortSet && c.Port != 0 {
		r.fault("METRICS_PORT", strconv.Quote(strconv.Itoa(c.MetricsPort)), "another port than PORT",
			"set 0 to serve /metrics beside the API")
	}
	c.MetricsAllow = r.prefixes("METRICS_ALLOW", "127.0.0.0/8,::1/128")
	c.TrustedProxies = r.prefixes("TRUSTED_PROXIES", "")
	c.CORSOrigins = r.origins("CORS_ORIGIN")
	c.LogLevel = map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}[r.oneOf("LOG_LEVEL", "info", "debug", "warn", "error")]
	c.LogFormat = r.oneOf("LOG_FORMAT", LogJSON, LogText)
	c.ShutdownTimeout = r.milliseconds("SHUTDOWN_TIMEOUT_MS", 10_000, 0, 600_000)
	c.DrainTime = time.Duration(r.integer("DRAIN_SECONDS", 0, 0, 300)) * time.Second
	c.IdleTimeout = r.milliseconds("IDLE_TIMEOUT_MS", 120_000, 1_000, 3_600_000)
}

func (r *reader) identity(c *Config) {
	local := "http://localhost:" + strconv.Itoa(c.Port)
	if c.Port == 0 && r.get("PUBLIC_URL", "") == "" {
		r.fault("PUBLIC_URL", "nothing", "the address of the server", "say it where PORT is 0, which takes any free port")
		local = "http://localhost" // for the rest to be judged
	}
	c.PublicURL = r.baseURL("PUBLIC_URL", local)
	c.OIDCIssuer = r.baseURL("OIDC_ISSUER", c.PublicURL)
	c.DIDWebDomain = r.domain("DID_WEB_DOMAIN", hostOf(c.PublicURL))
	c.JWTSigningAlg = r.oneOf("JWT_SIGNING_ALG", AlgRS256, AlgES256)
	if !r.readsOnly || r.get("MASTER_KEY_FILE", "") != "" {
		c.MasterKeyFile = r.newFile("MASTER_KEY_FILE")
	}
	c.PolicyDir = r.directory("POLICY_DIR")
	c.A2AEnabled = r.oneOf("A2A_ENABLED", "true", "false") == "true"
}

func (r *reader) ledger(c *Config) {
	c.EventStore = r.oneOf("EVENTSTORE", EventStorePostgres, EventStoreESDB)
	c.ESDBURL = r.esdbURL("ESDB_URL", c.EventStore == EventStoreESDB)
	c.ESDBLease = r.milliseconds("ESDB_LEASE_MS", 1_000, 100, 1_400)
	c.AuditRetentionDays = r.integer("AUDIT_RETENTION_DAYS", 0, 0, 36_500)
	c.ReadWaitTimeout = r.milliseconds("READ_WAIT_TIMEOUT_MS", 5_000, 1, 60_000)
	c.SnapshotEvery = r.integer("SNAPSHOT_EVERY", 100, 1, 1_000_000)
	c.LedgerOrigin = r.domain("LEDGER_ORIGIN", hostOf(c.PublicURL))
	c.CheckpointFile = r.fileBeside("CHECKPOINT_FILE", c.MasterKeyFile, "checkpoints")
	c.CheckpointInterval = r.milliseconds("CHECKPOINT_INTERVAL_MS", 60_000, 1_000, 86_400_000)
	c.WitnessKeys = r.verifierKeys("WITNESS_KEYS")
}

func (r *reader) limits(c *Config) {
	c.RateLimitMaxRequests = r.integer("RATE_LIMIT_MAX_REQUESTS", 100, 0, 10_000)
	c.RateLimitWindow = r.milliseconds("RATE_LIMIT_WINDOW_MS", 60_000, 1_000, 3_600_000)
	c.TierEnforcement = r.oneOf("TIER_ENFORCEMENT", "true", "false") == "true"
}

func (r *reader) compliance(c *Config) {
	c.ComplianceEnabled = r.oneOf("COMPLIANCE_ENABLED", "true", "false") == "true"
	c.VerifyNewInterval = r.milliseconds("VERIFY_NEW_INTERVAL_MS", 3_600_000, 1_000, 604_800_000)
	c.VerifyAllInterval = r.milliseconds("VERIFY_ALL_INTERVAL_MS", 86_400_000, 1_000, 2_678_400_000)
	c.CredentialScanInterval = r.milliseconds("CREDENTIAL_SCAN_INTERVAL_MS", 3_600_000, 1_000, 86_400_000)
	c.ControlCheckInterval = r.milliseconds("CONTROL_CHECK_INTERVAL_MS", 900_000, 1_000, 86_400_000)
	c.SigningKeyMaxAge = time.Duration(r.integer("SIGNING_KEY_MAX_AGE_DAYS", 365, 1, 3_650)) * 24 * time.Hour
}
