package config

import "time"

// sections are all variables that there are, in the order in which they are read: one
// may rest on another that comes before it. From here come what is read, what the
// start-up log shows, the tables of docs/configuration.md and .env.example.
var sections = []section{
	{"Services", []setting{
		{
			name: "DATABASE_URL", preset: "required", bound: "`postgres://user:password@host:port/database`", example: "postgres://agentidp:password@localhost:5432/agentidp",
			meaning: "PostgreSQL 15 or newer, as the login of the server. It needs no more than membership in the role `agentidp_server`, " +
				"which `agentidp migrate` gives to it. Whoever logs in, the server works with that role's rights alone. Not through a " +
				"pooler that shares sessions between transactions: the server listens for notifications and holds session locks, and " +
				"does not start there. Several hosts may be named (`host1:5432,host2:5432`): each new connection goes to the first that " +
				"takes writes, whatever `target_session_attrs` says. [How to make the logins, and what to set in " +
				"PgBouncer](runbooks/postgresql.md).",
			read: func(r *reader, c *Config) { c.DatabaseURL = r.databaseURL("DATABASE_URL", true) },
			log:  "database", show: func(c Config) any { return withoutSecrets(c.DatabaseURL) },
		},
		{
			name: "MIGRATE_DATABASE_URL", preset: "`DATABASE_URL`", bound: "as above", example: "postgres://agentidp_owner:password@localhost:5432/agentidp",
			meaning: "The owner of the database, used by `agentidp migrate`, `agentidp ledger adopt` and `agentidp tokens end` alone; it " +
				"needs `CREATEROLE` the first time. Keep it out of the server's environment.",
			read: func(r *reader, c *Config) {
				if c.MigrateDatabaseURL = r.databaseURL("MIGRATE_DATABASE_URL", false); c.MigrateDatabaseURL == "" {
					c.MigrateDatabaseURL = c.DatabaseURL
				}
			},
		},
		{
			name: "REDIS_URL", preset: "required", bound: "`redis://user:password@host:port/number`, `rediss://` for TLS", example: "redis://localhost:6379/0",
			meaning: "Counts that all nodes share. Losing Redis loses no truth: the server counts for itself and `/health` says `degraded`; " +
				"so it does with a replica that takes no writes. One Redis, not a Redis Cluster, whose nodes refuse to count keys of " +
				"several slots at once. An account of its own needs `~rate:* +ping +hello +select +set +del +eval +evalsha +mget " +
				"+setrange`.",
			read: func(r *reader, c *Config) {
				if !r.readsOnly {
					c.RedisURL = r.redisURL("REDIS_URL")
				}
			},
			log: "redis", show: func(c Config) any { return withoutSecrets(c.RedisURL) },
		},
		integer("DB_POOL_MAX", 16, 1, 10_000, func(c *Config) *int { return &c.DBPoolMax },
			"Connections in the pool. A server holds five more beside it: one that writes the ledger, two that listen, one that "+
				"holds the projections' leases, one that holds the jobs'.").logged("db_pool_max"),
		{
			name: "DB_POOL_MIN", preset: "2, or `DB_POOL_MAX` if that is less", bound: "0 to `DB_POOL_MAX`", example: "2",
			meaning: "Connections kept open when there is nothing to do.",
			read: func(r *reader, c *Config) {
				c.DBPoolMin = r.integer("DB_POOL_MIN", min(2, c.DBPoolMax), 0, c.DBPoolMax)
			},
		},
		milliseconds("DB_POOL_IDLE_TIMEOUT_MS", 30_000, 1_000, 86_400_000, func(c *Config) *time.Duration { return &c.DBPoolIdleTimeout },
			"After how long an idle connection above the minimum is closed."),
		milliseconds("DB_POOL_CONNECTION_TIMEOUT_MS", 5_000, 100, 600_000, func(c *Config) *time.Duration { return &c.DBPoolConnectionTimeout },
			"How long connecting to PostgreSQL may take."),
	}},
	{"Network", []setting{
		{
			name: "LISTEN_HOST", preset: "every address (`127.0.0.1` under `make run`)", bound: "an address or host name, without a port", example: "127.0.0.1",
			meaning: "Where the server listens.",
			read:    func(r *reader, c *Config) { c.ListenHost = r.listenHost("LISTEN_HOST", "") },
			log:     "listen_host", show: func(c Config) any { return c.ListenHost },
		},
		{
			name: "PORT", preset: "3000", bound: "0 to 65535", example: "3000",
			meaning: "The API. 0 takes any free port, which the log tells (`serving`), and wants `PUBLIC_URL` set.",
			read:    func(r *reader, c *Config) { c.Port = r.port() },
			log:     "port", show: func(c Config) any { return c.Port },
		},
		{
			name: "METRICS_HOST", preset: "`127.0.0.1`", bound: "an address or host name, without a port", example: "127.0.0.1",
			meaning: "Where `METRICS_PORT` listens. Set an address that your Prometheus reaches, such as `0.0.0.0`, where a firewall or " +
				"network policy keeps everybody else away from the port.",
			read: func(r *reader, c *Config) { c.MetricsHost = r.listenHost("METRICS_HOST", "127.0.0.1") },
			log:  "metrics_host", show: func(c Config) any { return c.MetricsHost },
		},
		{
			name: "METRICS_PORT", preset: "9464", bound: "0 to 65535, not `PORT`", example: "9464",
			meaning: "A port of its own for `/metrics`, open to everybody who reaches it; 0 serves it on `PORT` to `METRICS_ALLOW`. Where the " +
				"default is taken, by a second server on the machine for example, a free port is used and the log says which. A port " +
				"that you set is used, or the server does not start.",
			read: func(r *reader, c *Config) { r.metricsPort(c) },
			log:  "metrics_port", show: func(c Config) any { return c.MetricsPort },
		},
		{
			name: "METRICS_ALLOW", preset: "`127.0.0.0/8,::1/128`", bound: "CIDR ranges, separated by commas", example: "127.0.0.0/8,::1/128",
			meaning: "Who may read `/metrics` with `METRICS_PORT=0`. A request that a proxy has passed on is refused unless the proxy is one " +
				"of `TRUSTED_PROXIES` and says for whom.",
			read: func(r *reader, c *Config) { c.MetricsAllow = r.prefixes("METRICS_ALLOW", "127.0.0.0/8,::1/128") },
		},
		{
			name: "TRUSTED_PROXIES", preset: "none", bound: "CIDR ranges, separated by commas", example: "192.0.2.1/32",
			meaning: "Whose `X-Forwarded-For` is believed; the caller is the rightmost address there that is not itself a trusted proxy. " +
				"Addresses with a port and IPv4 addresses in IPv6 form are understood; `X-Real-IP` and `Forwarded` are never believed. " +
				"Where an element is no address (`unknown`, a host name), those left of it count for nothing: the caller is the one that " +
				"passed the request on, as far as it can be told. The address goes into the audit trail and decides on rate limits, so " +
				"name your proxies and nobody else: the server warns of ranges wider than /16 (IPv6: /48).",
			read: func(r *reader, c *Config) { c.TrustedProxies = r.prefixes("TRUSTED_PROXIES", "") },
		},
		{
			name: "CORS_ORIGIN", preset: "none", bound: "exact origins separated by commas, or `*` alone", example: "https://console.example",
			meaning: "Which web pages may call the API.",
			read:    func(r *reader, c *Config) { c.CORSOrigins = r.origins("CORS_ORIGIN") },
		},
		{
			name: "OUTBOUND_ALLOW", preset: "none", bound: "CIDR ranges, separated by commas", example: "10.20.0.0/16",
			meaning: "Ranges of addresses, closed otherwise, that the server may call where a URL came in by the API (the keys of a federation " +
				"partner): it makes such calls to public addresses only. Whoever may name such a URL then reaches what is in the " +
				"range, on every port, so name as little as you can; the server warns of it when it starts.",
			read: func(r *reader, c *Config) { c.OutboundAllow = r.prefixes("OUTBOUND_ALLOW", "") },
		},
		milliseconds("SHUTDOWN_TIMEOUT_MS", 10_000, 0, 600_000, func(c *Config) *time.Duration { return &c.ShutdownTimeout },
			"How long requests in flight may take to finish after SIGTERM."),
		duration("DRAIN_SECONDS", time.Second, 0, 0, 300, func(c *Config) *time.Duration { return &c.DrainTime },
			"How long the port stays open after SIGTERM, before `SHUTDOWN_TIMEOUT_MS` begins. `/health` is 503 from the start of it "+
				"and answers say `Connection: close`, so that load balancers and kube-proxy send new connections elsewhere first. 5 to "+
				"10 behind one; 0 where nothing is in front."),
		milliseconds("IDLE_TIMEOUT_MS", 120_000, 1_000, 3_600_000, func(c *Config) *time.Duration { return &c.IdleTimeout },
			"How long a kept connection may be idle. Longer than what a proxy in front keeps its own open, or that meets connections "+
				"that were just closed."),
	}},
	{"Identity", []setting{
		{
			name: "PUBLIC_URL", preset: "`http://localhost:` and `PORT`", bound: "absolute http or https URL; no user, query, fragment or slash at the end", example: "https://id.example",
			meaning: "How the world reaches the servers, not one of them (every endpoint in the metadata), and the audience of the tokens " +
				"they accept. With a path see [conformance](conformance.md#identifiers-with-a-path). With `https` answers carry HSTS.",
			read: func(r *reader, c *Config) { r.publicURL(c) },
			log:  "public_url", show: func(c Config) any { return c.PublicURL },
		},
		{
			name: "OIDC_ISSUER", preset: "`PUBLIC_URL`", bound: "as above", example: "https://id.example",
			meaning: "The issuer of every token. Tokens of another issuer are refused, so changing it ends all that are out.",
			read:    func(r *reader, c *Config) { c.OIDCIssuer = r.baseURL("OIDC_ISSUER", c.PublicURL) },
			log:     "oidc_issuer", show: func(c Config) any { return c.OIDCIssuer },
		},
		{
			name: "DID_WEB_DOMAIN", preset: "host and port of `PUBLIC_URL`", bound: "`host` or `host:port`", example: "id.example",
			meaning: "The host in the `did:web` identifiers of agents registered from now on.",
			read:    func(r *reader, c *Config) { c.DIDWebDomain = r.domain("DID_WEB_DOMAIN", hostOf(c.PublicURL)) },
			log:     "did_web_domain", show: func(c Config) any { return c.DIDWebDomain },
		},
		duration("DID_DOCUMENT_CACHE_TTL_SECONDS", time.Second, 300, 0, 86_400, func(c *Config) *time.Duration { return &c.DIDDocumentCacheTTL },
			"How long others may keep a DID document or a card. So long may they trust a key after it was rotated."),
		{
			name: "JWT_SIGNING_ALG", preset: "`RS256`", bound: "`RS256`, `ES256`", example: "RS256",
			meaning: "What tokens are signed with; both kinds are always accepted. ES256 signs many times faster. Where no key of the kind can " +
				"sign yet, one is made and published, and tokens are signed with the other kind until its time has come.",
			read: func(r *reader, c *Config) { c.JWTSigningAlg = r.oneOf("JWT_SIGNING_ALG", AlgRS256, AlgES256) },
			log:  "jwt_signing_alg", show: func(c Config) any { return c.JWTSigningAlg },
		},
		duration("SIGNING_KEY_LEAD_SECONDS", time.Second, 86_400, 1_200, 518_400, func(c *Config) *time.Duration { return &c.SigningKeyLead },
			"How long every server has a new key in its JWKS before the first token is signed with it. Clients that keep keys look again "+
				"only after hours. All servers have the same. [How keys are rotated](runbooks/signing-keys.md)."),
		{
			name: "OIDC_FORCE_KEY_ROTATION", preset: "`false`", bound: "`true`, `false`", example: "false",
			meaning: "With `true` the server publishes another signing key when it starts, which signs when its lead is over. Take it away again: " +
				"each start does it, unless a key waits already.",
			read: func(r *reader, c *Config) {
				c.ForceKeyRotation = r.oneOf("OIDC_FORCE_KEY_ROTATION", "false", "true") == "true"
			},
		},
		duration("JWKS_CACHE_TTL_SECONDS", time.Second, 300, 0, 900, func(c *Config) *time.Duration { return &c.JWKSCacheTTL },
			"How long clients may keep `/.well-known/jwks.json`, as `max-age`."),
		{
			name: "MASTER_KEY_FILE", preset: "required (`.agentidp/master.key` under `make run`)", bound: "path of a regular file", example: "/var/lib/agentidp/master.key",
			meaning: "The key that seals all other keys. It is made with mode 0600 where it does not exist, and refused when others can read " +
				"it. All servers on one database need the same. **Back it up, apart from the database:** without it no secret verifies " +
				"and no token can be signed.",
			read: func(r *reader, c *Config) {
				if !r.readsOnly || r.get("MASTER_KEY_FILE", "") != "" {
					c.MasterKeyFile = r.newFile("MASTER_KEY_FILE")
				}
			},
			log: "master_key_file", show: func(c Config) any { return c.MasterKeyFile },
		},
		boolean("A2A_ENABLED", func(c *Config) *bool { return &c.A2AEnabled },
			"Whether agents may delegate to each other; with `false` the endpoints answer 404 and the grant is unsupported."),
		duration("FEDERATION_JWKS_CACHE_TTL_SECONDS", time.Second, 3_600, 1, 86_400, func(c *Config) *time.Duration { return &c.FederationJWKSCacheTTL },
			"How long the keys of a federation partner are kept before they are fetched again. A key that is not among them has them "+
				"fetched sooner, at most once in 30 seconds, and a change of the partner at once."),
		{
			name: "POLICY_DIR", preset: "what is built in", bound: "a directory that exists", example: "/etc/agentidp/policy",
			meaning: "Where `authz.rego` and `scopes.json` are read from instead of the built-in policy.",
			read:    func(r *reader, c *Config) { c.PolicyDir = r.directory("POLICY_DIR") },
			log:     "policy_dir", show: func(c Config) any { return c.PolicyDir },
		},
	}},
	{"Ledger", []setting{
		{
			name: "EVENTSTORE", preset: "`postgres`", bound: "`postgres`, `esdb`", example: "postgres",
			meaning: "The engine of the ledger: the server's PostgreSQL, or an EventStoreDB / KurrentDB (23.10 or newer). Read models, " +
				"snapshots and keys are in PostgreSQL with either. A ledger stays in the engine it was begun in until it is " +
				"[moved](runbooks/moving-engines.md); until then no server starts with the other one.",
			read: func(r *reader, c *Config) { c.EventStore = r.oneOf("EVENTSTORE", EventStorePostgres, EventStoreESDB) },
			log:  "eventstore", show: func(c Config) any { return c.EventStore },
		},
		{
			name: "ESDB_URL", preset: "required with `esdb`", bound: "`esdb://user:password@host:port,host:port/ledger?options` or `esdb+discover://`", example: "esdb://user:password@localhost:2113",
			meaning: "The EventStoreDB of the ledger. Name the nodes of a cluster, so that another is found when one is away. Its user must " +
				"be allowed to read `$all`. The path names the ledger on a server that keeps several: its streams begin with it. Without " +
				"one the whole server is the ledger's.",
			read: func(r *reader, c *Config) { c.ESDBURL = r.esdbURL("ESDB_URL", c.EventStore == EventStoreESDB) },
			log:  "esdb", show: func(c Config) any { return ofEventStore(c.ESDBURL) },
		},
		milliseconds("ESDB_LEASE_MS", 1_000, 100, 1_400, func(c *Config) *time.Duration { return &c.ESDBLease },
			"With `esdb`: how long after an append was sent that the server has answered its node is taken for the leader. Then "+
				"reads of the ledger's end need another proof: one small event in the stream `barrier`, which is no part of the ledger. "+
				"It must be shorter than the servers need to elect another leader: 1.5 s with their own defaults. Never set it above "+
				"what your servers' heartbeat and election timeouts allow."),
		integer("AUDIT_RETENTION_DAYS", 0, 0, 36_500, func(c *Config) *int { return &c.AuditRetentionDays },
			"How far back the audit query shows; 0 is what the tier says. The ledger keeps everything."),
		milliseconds("READ_WAIT_TIMEOUT_MS", 5_000, 1, 60_000, func(c *Config) *time.Duration { return &c.ReadWaitTimeout },
			"How long a read waits for what it must show before it answers `503 READ_MODEL_BEHIND`."),
		{
			name: "LEDGER_ORIGIN", preset: "host and port of `PUBLIC_URL`", bound: "`host` or `host:port`", example: "id.example",
			meaning: "What signed checkpoints are called after: `<origin>/ledger`, and `<origin>/org/<id>` for each organization. Auditors " +
				"pin it. Another origin begins a new series of checkpoints that owes nothing to the old one, so do not change it without " +
				"telling them.",
			read: func(r *reader, c *Config) { c.LedgerOrigin = r.domain("LEDGER_ORIGIN", hostOf(c.PublicURL)) },
			log:  "ledger_origin", show: func(c Config) any { return c.LedgerOrigin },
		},
		{
			name: "CHECKPOINT_FILE", preset: "`checkpoints` beside `MASTER_KEY_FILE`", bound: "path of a regular file", example: "/var/lib/agentidp/checkpoints",
			meaning: "What was signed last, remembered outside the database: nothing is signed that does not extend it. Its directory must be " +
				"writable. Servers on one database share it, as they do the master key. **Keep it when you restore the database from a " +
				"backup:** it is how the loss is noticed.",
			read: func(r *reader, c *Config) {
				c.CheckpointFile = r.fileBeside("CHECKPOINT_FILE", c.MasterKeyFile, "checkpoints")
			},
			log: "checkpoint_file", show: func(c Config) any { return c.CheckpointFile },
		},
		milliseconds("CHECKPOINT_INTERVAL_MS", 60_000, 1_000, 86_400_000, func(c *Config) *time.Duration { return &c.CheckpointInterval },
			"How often the logs that have grown are signed."),
		{
			name: "WITNESS_KEYS", preset: "none", bound: "verifier keys (C2SP signed-note), separated by commas", example: "",
			meaning: "Witnesses whose cosignatures on checkpoints of the whole ledger are taken and served.",
			read:    func(r *reader, c *Config) { c.WitnessKeys = r.verifierKeys("WITNESS_KEYS") },
		},
		integer("SNAPSHOT_EVERY", 100, 1, 1_000_000, func(c *Config) *int { return &c.SnapshotEvery },
			"Events of one stream between two snapshots of its state, which is what the first command after a start may have to read."),
	}},
	{"Limits", []setting{
		integer("RATE_LIMIT_MAX_REQUESTS", 100, 0, 10_000, func(c *Config) *int { return &c.RateLimitMaxRequests },
			"Requests of one client in one window, over all nodes; 0 switches all rate limits off. While Redis is away each server "+
				"counts for itself.").logged("rate_limit_max_requests"),
		milliseconds("RATE_LIMIT_WINDOW_MS", 60_000, 1_000, 3_600_000, func(c *Config) *time.Duration { return &c.RateLimitWindow },
			"The length of that window, which slides."),
		boolean("TIER_ENFORCEMENT", func(c *Config) *bool { return &c.TierEnforcement },
			"`false` lifts the daily limits of the tiers, and nothing else: the agent cap and the monthly quota hold. Counting goes "+
				"on.").logged("tier_enforcement"),
	}},
	{"Compliance", []setting{
		boolean("COMPLIANCE_ENABLED", func(c *Config) *bool { return &c.ComplianceEnabled },
			"Whether the compliance report and the agent cards are served; with `false` they answer `404 COMPLIANCE_DISABLED`. The "+
				"jobs and the controls go on either way."),
		milliseconds("VERIFY_NEW_INTERVAL_MS", 3_600_000, 1_000, 604_800_000, func(c *Config) *time.Duration { return &c.VerifyNewInterval },
			"How often the ledger's new events are verified."),
		milliseconds("VERIFY_ALL_INTERVAL_MS", 86_400_000, 1_000, 2_678_400_000, func(c *Config) *time.Duration { return &c.VerifyAllInterval },
			"How often the ledger is verified from its beginning."),
		milliseconds("CREDENTIAL_SCAN_INTERVAL_MS", 3_600_000, 1_000, 86_400_000, func(c *Config) *time.Duration { return &c.CredentialScanInterval },
			"How often expired credentials, and federation partners, are looked for and put on record. They stop working at their time, "+
				"whatever this is."),
		milliseconds("CONTROL_CHECK_INTERVAL_MS", 900_000, 1_000, 86_400_000, func(c *Config) *time.Duration { return &c.ControlCheckInterval },
			"How often keys, TLS and rotation are checked."),
		duration("SIGNING_KEY_MAX_AGE_DAYS", 24*time.Hour, 90, 1, 3_650, func(c *Config) *time.Duration { return &c.SigningKeyMaxAge },
			"At which age of a signing key, counted from its publication, another one is published in its place. Control CC9.2 is failing "+
				"from 7 days after that."),
	}},
	{"Log", []setting{
		{
			name: "LOG_LEVEL", preset: "`info`", bound: "`debug`, `info`, `warn`, `error`", example: "info",
			meaning: "How much is logged, to standard error. `debug` has a line for each request.",
			read:    func(r *reader, c *Config) { r.logLevel(c) },
			log:     "log_level", show: func(c Config) any { return c.LogLevel.String() },
		},
		{
			name: "LOG_FORMAT", preset: "`json` (`text` under `make run`)", bound: "`json`, `text`", example: "json",
			meaning: "How.",
			read:    func(r *reader, c *Config) { c.LogFormat = r.oneOf("LOG_FORMAT", LogJSON, LogText) },
		},
	}},
}
