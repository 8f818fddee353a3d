package config_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sentryagent/agentidp/internal/config"
)

const password = "hunter2-of-the-database"

// least is the smallest environment that loads.
func least(more ...string) []string {
	return append([]string{
		"DATABASE_URL=postgres://agentidp:" + password + "@db:5432/agentidp",
		"REDIS_URL=redis://:" + password + "@cache:6379/0",
		"MASTER_KEY_FILE=/var/lib/agentidp/master.key",
	}, more...)
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	got, err := config.Load(least("NOT_OURS=1", "PORT="), "")
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		DatabaseURL:             "postgres://agentidp:" + password + "@db:5432/agentidp",
		MigrateDatabaseURL:      "postgres://agentidp:" + password + "@db:5432/agentidp",
		RedisURL:                "redis://:" + password + "@cache:6379/0",
		DBPoolMax:               16,
		DBPoolMin:               2,
		DBPoolIdleTimeout:       30 * time.Second,
		DBPoolConnectionTimeout: 5 * time.Second,
		Port:                    3000,
		MetricsHost:             "127.0.0.1",
		MetricsPort:             9464,
		MetricsAllow:            []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		PublicURL:               "http://localhost:3000",
		OIDCIssuer:              "http://localhost:3000",
		DIDWebDomain:            "localhost:3000",
		DIDDocumentCacheTTL:     5 * time.Minute,
		JWTSigningAlg:           "RS256",
		MasterKeyFile:           "/var/lib/agentidp/master.key",
		A2AEnabled:              true,
		FederationJWKSCacheTTL:  time.Hour,
		EventStore:              "postgres",
		ESDBLease:               time.Second,
		ReadWaitTimeout:         5 * time.Second,
		SnapshotEvery:           100,
		LedgerOrigin:            "localhost:3000",
		CheckpointFile:          "/var/lib/agentidp/checkpoints",
		CheckpointInterval:      time.Minute,
		ShutdownTimeout:         10 * time.Second,
		IdleTimeout:             2 * time.Minute,
		RateLimitMaxRequests:    100,
		RateLimitWindow:         time.Minute,
		TierEnforcement:         true,
		ComplianceEnabled:       true,
		VerifyNewInterval:       time.Hour,
		VerifyAllInterval:       24 * time.Hour,
		CredentialScanInterval:  time.Hour,
		ControlCheckInterval:    15 * time.Minute,
		SigningKeyMaxAge:        90 * 24 * time.Hour,
		SigningKeyLead:          24 * time.Hour,
		JWKSCacheTTL:            5 * time.Minute,
		LogFormat:               "json",
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestDerivedDefaultsFollowPortAndPublicURL(t *testing.T) {
	t.Parallel()
	byPort, err := config.Load(least("PORT=4100", "DB_POOL_MAX=1"), "")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := byPort.PublicURL, "http://localhost:4100"; got != want {
		t.Errorf("PublicURL = %q, want %q", got, want)
	}
	if byPort.DBPoolMin != 1 {
		t.Errorf("DBPoolMin = %d, want no more than DB_POOL_MAX", byPort.DBPoolMin)
	}
	byURL, err := config.Load(least("PUBLIC_URL=https://id.example.com/idp"), "")
	if err != nil {
		t.Fatal(err)
	}
	got := []string{byURL.OIDCIssuer, byURL.DIDWebDomain, byURL.LedgerOrigin}
	if diff := cmp.Diff([]string{"https://id.example.com/idp", "id.example.com", "id.example.com"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestRangesOfMappedAddressesAreRangesOfIPv4(t *testing.T) {
	t.Parallel()
	c, err := config.Load(least("TRUSTED_PROXIES=::ffff:10.1.2.3/104,2001:db8::/32"), "")
	if err != nil {
		t.Fatal(err)
	}
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	if !slices.Equal(c.TrustedProxies, want) {
		t.Errorf("TrustedProxies = %v, want %v", c.TrustedProxies, want)
	}
}

func TestEnvironmentWinsOverDotenv(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), ".env")
	text := "PORT=4000\nLOG_LEVEL=debug # while we look\nexport LOG_FORMAT=\"text\"\nCORS_ORIGIN=https://a.example\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(least("PORT=5000", "CORS_ORIGIN="), path)
	if err != nil {
		t.Fatal(err)
	}
	got := []any{c.Port, c.LogLevel, c.LogFormat, c.CORSOrigins}
	want := []any{5000, slog.LevelDebug, "text", []string{"https://a.example"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestEveryFaultIsReportedOnALineOfItsOwn(t *testing.T) {
	t.Parallel()
	_, err := config.Load([]string{
		"DATABASE_URL=mysql://root:" + password + "@db/agentidp",
		"PORT=99999",
		"JWT_SIGNING_ALG=HS256",
		"EVENTSTORE=EventStoreDB",
		"MASTER_KEY_FILE=master.key",
		"WITNESS_KEYS=w.example+d149ff94+AQ==,w.example,w.example+1a2b3c4d+AQ==",
	}, "")
	var faults config.Faults
	if !errors.As(err, &faults) {
		t.Fatalf("error %T %v, want Faults", err, err)
	}
	lines := strings.Split(err.Error(), "\n")
	prefixes := []string{"DATABASE_URL: ", "REDIS_URL: ", `PORT: found "99999"; must be a whole number from 0 to 65535`,
		`JWT_SIGNING_ALG: found "HS256"; must be one of RS256, ES256`, `EVENTSTORE: found "EventStoreDB"; must be one of postgres, esdb`, `WITNESS_KEYS: found "w.example"`, `WITNESS_KEYS: found "w.example+1a2b3c4d+AQ=="`}
	if len(lines) != len(prefixes) || len(faults) != len(prefixes) {
		t.Fatalf("%d lines, %d faults, want %d of each:\n%v", len(lines), len(faults), len(prefixes), err)
	}
	for i, prefix := range prefixes {
		if !strings.HasPrefix(lines[i], prefix) {
			t.Errorf("line %d = %q, want prefix %q", i, lines[i], prefix)
		}
	}
}

func TestRefusedValues(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ set, fault string }{
		{"DATABASE_URL=postgres://u:" + password + "@db:port/x", "DATABASE_URL"},
		{"MIGRATE_DATABASE_URL=" + password, "MIGRATE_DATABASE_URL"},
		{"REDIS_URL=http://:" + password + "@cache", "REDIS_URL"},
		{"REDIS_URL=redis://:" + password + "@cache/notanumber", "REDIS_URL"},
		{"PORT=65536", "PORT"},
		{"PORT=0", "PUBLIC_URL"},
		{"PORT=3000x", "PORT"},
		{"METRICS_PORT=3000", "METRICS_PORT"},
		{"METRICS_HOST=127.0.0.1:9464", "METRICS_HOST"},
		{"METRICS_ALLOW=127.0.0.1", "METRICS_ALLOW"},
		{"TRUSTED_PROXIES=10.0.0.0/8,ten", "TRUSTED_PROXIES"},
		{"TRUSTED_PROXIES=::ffff:10.0.0.0/90", "TRUSTED_PROXIES"},
		{"LISTEN_HOST=127.0.0.1:3000", "LISTEN_HOST"},
		{"PUBLIC_URL=id.example.com", "PUBLIC_URL"},
		{"PUBLIC_URL=https://id.example.com/", "PUBLIC_URL"},
		{"PUBLIC_URL=https://id.example.com?a=b", "PUBLIC_URL"},
		{"PUBLIC_URL=https://id.example.com#", "PUBLIC_URL"},
		{"PUBLIC_URL=https://user:" + password + "@id.example.com", "PUBLIC_URL"},
		{"PUBLIC_URL=https://id.example.com:70000", "PUBLIC_URL"},
		{"OIDC_ISSUER=ftp://id.example.com", "OIDC_ISSUER"},
		{"DID_WEB_DOMAIN=https://id.example.com", "DID_WEB_DOMAIN"},
		{"DID_WEB_DOMAIN=id.example.com/agents", "DID_WEB_DOMAIN"},
		{"CORS_ORIGIN=https://a.example,*", "CORS_ORIGIN"},
		{"CORS_ORIGIN=https://a.example/", "CORS_ORIGIN"},
		{"DB_POOL_MIN=17", "DB_POOL_MIN"},
		{"DB_POOL_IDLE_TIMEOUT_MS=-1", "DB_POOL_IDLE_TIMEOUT_MS"},
		{"MASTER_KEY_FILE=" + os.TempDir(), "MASTER_KEY_FILE"},
		{"POLICY_DIR=/does/not/exist", "POLICY_DIR"},
		{"A2A_ENABLED=maybe", "A2A_ENABLED"},
		{"EVENTSTORE=sqlite", "EVENTSTORE"},
		{"EVENTSTORE=esdb", "ESDB_URL"},
		{"ESDB_URL=http://admin:" + password + "@es:2113", "ESDB_URL"},
		{"ESDB_URL=esdb://admin:" + password + "@es:port", "ESDB_URL"},
		{"ESDB_URL=esdb://admin:" + password + "@es:2113?tls=perhaps", "ESDB_URL"},
		{"ESDB_URL=esdb://admin:" + password + "@es:2113/two/names", "ESDB_URL"},
		{"ESDB_URL=esdb+discover://admin:" + password + "@es1:2113,es2:2113", "ESDB_URL"},
		{"ESDB_URL=esdb://admin:" + password + "@es:65536", "ESDB_URL"},
		{"ESDB_URL=esdb://admin:" + password + "@es1:2113,es2:0", "ESDB_URL"},
		{"ESDB_URL=esdb://admin:" + password + "@es:2113?defaultDeadline=0", "ESDB_URL"},
		{"ESDB_URL=esdb://admin:" + password + "@es:2113?tls=false&defaultDeadline=soon", "ESDB_URL"},
		{"ESDB_URL=esdb://admin:" + password + "@es:2113?tsl=false", "ESDB_URL"},
		{"ESDB_URL=esdb://admin:/" + password + "@es:2113", "ESDB_URL"},
		{"ESDB_URL=esdb://admin:" + password + "@es:2113?tlsCAFile=/does/not/exist", "ESDB_URL"},
		{"AUDIT_RETENTION_DAYS=forever", "AUDIT_RETENTION_DAYS"},
		{"LOG_LEVEL=loud", "LOG_LEVEL"},
		{"LOG_FORMAT=xml", "LOG_FORMAT"},
		{"SNAPSHOT_EVERY=0", "SNAPSHOT_EVERY"},
		{"RATE_LIMIT_MAX_REQUESTS=10001", "RATE_LIMIT_MAX_REQUESTS"},
		{"RATE_LIMIT_MAX_REQUESTS=-1", "RATE_LIMIT_MAX_REQUESTS"},
		{"RATE_LIMIT_WINDOW_MS=999", "RATE_LIMIT_WINDOW_MS"},
		{"TIER_ENFORCEMENT=yes", "TIER_ENFORCEMENT"},
	} {
		_, err := config.Load(least(tc.set), "")
		var faults config.Faults
		if !errors.As(err, &faults) || len(faults) != 1 || faults[0].Variable != tc.fault {
			t.Errorf("%s: error %v, want one fault of %s", tc.set, err, tc.fault)
			continue
		}
		if strings.Contains(err.Error(), password) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %q shows a password or spans lines", tc.set, err)
		}
	}
}

func TestBrokenDotenvIsAFaultThatQuotesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(path, []byte("REDIS PASSWORD "+password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := config.Load(least(), path)
	if err == nil || strings.Contains(err.Error(), password) || !strings.HasPrefix(err.Error(), path+": ") {
		t.Errorf("error %v, want one that names %s and quotes nothing", err, path)
	}
}

func TestNothingPrintsASecret(t *testing.T) {
	t.Parallel()
	c, err := config.Load(least("MIGRATE_DATABASE_URL=postgres://owner@db/x?password="+password, "EVENTSTORE=esdb",
		"ESDB_URL=esdb://admin:"+password+"@es1:2113,es2:2113/acme?tls=false"), "")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("starting", "config", c)
	for _, got := range []string{log.String(), c.String(), fmt.Sprintf("%v %+v %#v", c, c, &c)} {
		if strings.Contains(got, password) {
			t.Errorf("a password in %s", got)
		}
		if !strings.Contains(got, "db:5432") {
			t.Errorf("no database host in %s", got)
		}
		if !strings.Contains(got, "esdb://es1:2113,es2:2113/acme") {
			t.Errorf("no event store in %s", got)
		}
	}
}

func TestTheNameOfALedgerIsCutOffItsURL(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ raw, server, ledger string }{
		{"esdb://me:secret@es:2113?tls=false", "esdb://me:secret@es:2113?tls=false", ""},
		{"esdb://es:2113/?tls=false", "esdb://es:2113?tls=false", ""},
		{"esdb://es1:2113,es2:2113/acme?tlsCAFile=/etc/ca.pem", "esdb://es1:2113,es2:2113?tlsCAFile=/etc/ca.pem", "acme"},
		{"esdb+discover://es/acme/", "esdb+discover://es", "acme"},
	} {
		if server, ledger := config.CutLedger(tc.raw); server != tc.server || ledger != tc.ledger {
			t.Errorf("%s: %q and %q, want %q and %q", tc.raw, server, ledger, tc.server, tc.ledger)
		}
	}
}

func TestLocalAddress(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		environ []string
		want    string
	}{
		"defaults":      {nil, "127.0.0.1:3000"},
		"every address": {[]string{"LISTEN_HOST=::", "PORT=4001"}, "127.0.0.1:4001"},
		"one address":   {[]string{"LISTEN_HOST=::1"}, "[::1]:3000"},
		"no port":       {[]string{"PORT=http"}, ""},
	} {
		got, err := config.LocalAddress(c.environ, "")
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
}
