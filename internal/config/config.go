package config

import (
	"log/slog"
	"math"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Config is everything a server is told from outside. The comment of a field names its variable; settings.go says what
// it means, its default and its bounds.
//
// Config is a value: it is safe to copy and to read from several goroutines.
type Config struct {
	DatabaseURL        string // DATABASE_URL
	MigrateDatabaseURL string // MIGRATE_DATABASE_URL
	RedisURL           string // REDIS_URL

	DBPoolMax               int           // DB_POOL_MAX
	DBPoolMin               int           // DB_POOL_MIN
	DBPoolIdleTimeout       time.Duration // DB_POOL_IDLE_TIMEOUT_MS
	DBPoolConnectionTimeout time.Duration // DB_POOL_CONNECTION_TIMEOUT_MS

	ListenHost     string         // LISTEN_HOST
	Port           int            // PORT
	MetricsHost    string         // METRICS_HOST
	MetricsPort    int            // METRICS_PORT
	MetricsPortSet bool           // METRICS_PORT is set: no other port will do where this one is taken
	MetricsAllow   []netip.Prefix // METRICS_ALLOW
	TrustedProxies []netip.Prefix // TRUSTED_PROXIES
	OutboundAllow  []netip.Prefix // OUTBOUND_ALLOW
	CORSOrigins    []string       // CORS_ORIGIN

	PublicURL    string // PUBLIC_URL
	OIDCIssuer   string // OIDC_ISSUER
	DIDWebDomain string // DID_WEB_DOMAIN

	DIDDocumentCacheTTL time.Duration // DID_DOCUMENT_CACHE_TTL_SECONDS

	JWTSigningAlg    string        // JWT_SIGNING_ALG
	SigningKeyLead   time.Duration // SIGNING_KEY_LEAD_SECONDS
	ForceKeyRotation bool          // OIDC_FORCE_KEY_ROTATION
	JWKSCacheTTL     time.Duration // JWKS_CACHE_TTL_SECONDS

	MasterKeyFile string // MASTER_KEY_FILE
	PolicyDir     string // POLICY_DIR
	A2AEnabled    bool   // A2A_ENABLED

	FederationJWKSCacheTTL time.Duration // FEDERATION_JWKS_CACHE_TTL_SECONDS

	EventStore         string        // EVENTSTORE
	ESDBLease          time.Duration // ESDB_LEASE_MS
	ESDBURL            string        // ESDB_URL
	AuditRetentionDays int           // AUDIT_RETENTION_DAYS
	ReadWaitTimeout    time.Duration // READ_WAIT_TIMEOUT_MS
	SnapshotEvery      int           // SNAPSHOT_EVERY
	LedgerOrigin       string        // LEDGER_ORIGIN
	CheckpointFile     string        // CHECKPOINT_FILE
	CheckpointInterval time.Duration // CHECKPOINT_INTERVAL_MS
	WitnessKeys        []string      // WITNESS_KEYS
	ShutdownTimeout    time.Duration // SHUTDOWN_TIMEOUT_MS
	DrainTime          time.Duration // DRAIN_SECONDS
	IdleTimeout        time.Duration // IDLE_TIMEOUT_MS

	RateLimitMaxRequests int           // RATE_LIMIT_MAX_REQUESTS
	RateLimitWindow      time.Duration // RATE_LIMIT_WINDOW_MS
	TierEnforcement      bool          // TIER_ENFORCEMENT

	ComplianceEnabled      bool          // COMPLIANCE_ENABLED
	VerifyNewInterval      time.Duration // VERIFY_NEW_INTERVAL_MS
	VerifyAllInterval      time.Duration // VERIFY_ALL_INTERVAL_MS
	CredentialScanInterval time.Duration // CREDENTIAL_SCAN_INTERVAL_MS
	ControlCheckInterval   time.Duration // CONTROL_CHECK_INTERVAL_MS
	SigningKeyMaxAge       time.Duration // SIGNING_KEY_MAX_AGE_DAYS

	LogLevel  slog.Level // LOG_LEVEL
	LogFormat string     // LOG_FORMAT
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
	for _, section := range sections {
		for _, setting := range section.settings {
			setting.read(r, &c)
		}
	}
	if len(r.faults) > 0 {
		return Config{}, r.faults
	}
	return c, nil
}

// Variable is a variable that is no setting, from environ or else from the file, "" where neither has it. The error is
// always [Faults].
func Variable(environ []string, dotenvPath, name string) (string, error) {
	r := newReader(environ, dotenvPath)
	if len(r.faults) > 0 {
		return "", r.faults
	}
	return r.get(name, ""), nil
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

func (r *reader) metricsPort(c *Config) {
	c.MetricsPortSet = r.get("METRICS_PORT", "") != ""
	c.MetricsPort = r.integer("METRICS_PORT", 9464, 0, math.MaxUint16)
	if c.MetricsPort == c.Port && c.MetricsPortSet && c.Port != 0 {
		r.fault("METRICS_PORT", strconv.Quote(strconv.Itoa(c.MetricsPort)), "another port than PORT",
			"set 0 to serve /metrics beside the API")
	}
}

func (r *reader) publicURL(c *Config) {
	local := "http://localhost:" + strconv.Itoa(c.Port)
	if c.Port == 0 && r.get("PUBLIC_URL", "") == "" {
		r.fault("PUBLIC_URL", "nothing", "the address of the server", "say it where PORT is 0, which takes any free port")
		local = "http://localhost" // for the rest to be judged
	}
	c.PublicURL = r.baseURL("PUBLIC_URL", local)
}

func (r *reader) logLevel(c *Config) {
	c.LogLevel = map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}[r.oneOf("LOG_LEVEL", "info", "debug", "warn", "error")]
}
