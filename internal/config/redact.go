package config

import (
	"log/slog"
	"net/url"
	"strings"
)

// LogValue shows what a start-up log needs; of the service URLs it shows scheme, host and path alone.
func (c Config) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("database", withoutSecrets(c.DatabaseURL)),
		slog.String("redis", withoutSecrets(c.RedisURL)),
		slog.Int("db_pool_max", c.DBPoolMax),
		slog.String("listen_host", c.ListenHost),
		slog.Int("port", c.Port),
		slog.String("metrics_host", c.MetricsHost),
		slog.Int("metrics_port", c.MetricsPort),
		slog.String("public_url", c.PublicURL),
		slog.String("oidc_issuer", c.OIDCIssuer),
		slog.String("did_web_domain", c.DIDWebDomain),
		slog.String("jwt_signing_alg", c.JWTSigningAlg),
		slog.String("master_key_file", c.MasterKeyFile),
		slog.String("ledger_origin", c.LedgerOrigin),
		slog.String("checkpoint_file", c.CheckpointFile),
		slog.String("policy_dir", c.PolicyDir),
		slog.String("eventstore", c.EventStore),
		slog.String("esdb", ofEventStore(c.ESDBURL)),
		slog.Int("rate_limit_max_requests", c.RateLimitMaxRequests),
		slog.Bool("tier_enforcement", c.TierEnforcement),
		slog.String("log_level", c.LogLevel.String()),
	)
}

// String is LogValue as one line of name=value.
func (c Config) String() string {
	var b strings.Builder
	for _, attr := range c.LogValue().Group() {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(attr.Key + "=" + attr.Value.String())
	}
	return b.String()
}

// GoString keeps %#v from showing what String hides.
func (c Config) GoString() string { return "config.Config{" + c.String() + "}" }

// Place is what may be shown of the URL of a service: scheme, hosts and path.
func Place(raw string) string {
	if hasScheme(raw, "esdb", "esdb+discover") {
		return ofEventStore(raw)
	}
	return withoutSecrets(raw)
}

// ofEventStore is [Place] of a connection string that may name several hosts,
// which makes it no URL.
func ofEventStore(raw string) string {
	scheme, rest, found := strings.Cut(raw, "://")
	if !found {
		return ""
	}
	rest = rest[strings.LastIndexByte(rest, '@')+1:]
	if end := strings.IndexAny(rest, "?#"); end >= 0 {
		rest = rest[:end]
	}
	return scheme + "://" + strings.TrimSuffix(rest, "/")
}

// withoutSecrets drops the user, the password and the query, where drivers accept passwords too.
func withoutSecrets(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "[unreadable]"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
