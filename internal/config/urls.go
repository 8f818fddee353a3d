package config

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/redis/go-redis/v9"
)

// databaseURL describes a fault without the value, which holds a password, and without the driver's message, which
// quotes it.
func (r *reader) databaseURL(name string, required bool) string {
	const form = "postgres://user:password@host:port/database"
	raw := r.get(name, "")
	if raw == "" {
		if required {
			r.fault(name, "nothing", form, "set it to the database of this server")
		}
		return ""
	}
	if !hasScheme(raw, "postgres", "postgresql") {
		r.fault(name, "a value that is no postgres:// URL (not shown)", form, "correct the scheme")
		return ""
	}
	if _, err := pgconn.ParseConfig(raw); err != nil {
		r.fault(name, "a URL that the driver does not understand (not shown)", form,
			"percent-encode special characters of the password and check port and options")
		return ""
	}
	return raw
}

func (r *reader) redisURL(name string) string {
	const form = "redis://user:password@host:port/number or rediss://…"
	raw := r.get(name, "")
	if raw == "" {
		r.fault(name, "nothing", form, "set it to the Redis of this server")
		return ""
	}
	if _, err := redis.ParseURL(raw); err != nil || !hasScheme(raw, "redis", "rediss") {
		r.fault(name, "a value that is no Redis URL (not shown)", form,
			"check the scheme and percent-encode special characters of the password")
		return ""
	}
	return raw
}

// esdbURL describes a fault without the value too. It also looks at the files
// that the value names.
func (r *reader) esdbURL(name string, required bool) string {
	const form = "esdb://user:password@host:port,host:port/ledger?options or esdb+discover://…"
	raw := r.get(name, "")
	if raw == "" {
		if required {
			r.fault(name, "nothing", form, "set it to the EventStoreDB of this server, or EVENTSTORE to "+EventStorePostgres)
		}
		return ""
	}
	if !hasScheme(raw, "esdb", "esdb+discover") {
		r.fault(name, "a value that is no esdb:// URL (not shown)", form, "correct the scheme")
		return ""
	}
	server, ledger := CutLedger(raw)
	if ledger != "" && !ledgerName.MatchString(ledger) {
		r.fault(name, "a path that is no name of a ledger (not shown)", form,
			"use letters, digits, dots, dashes and underscores, and percent-encode special characters of the password")
		return ""
	}
	if fault, action := esdbFault(server); fault != "" {
		r.fault(name, fault, form, action)
		return ""
	}
	if _, err := esdb.ParseConnectionString(server); err != nil {
		r.fault(name, "a URL that the client does not understand (not shown)", form,
			"percent-encode special characters of the password and check ports, options and the files they name")
		return ""
	}
	return raw
}

var ledgerName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// CutLedger takes the name of the ledger, on a server that keeps several, off
// the connection string of an EventStoreDB: its path, without the slashes. What
// is left is as the client takes it.
func CutLedger(raw string) (server, ledger string) {
	scheme, rest, _ := strings.Cut(raw, "://")
	query := ""
	if at := strings.IndexByte(rest, '?'); at >= 0 {
		rest, query = rest[:at], rest[at:]
	}
	hosts, path, _ := strings.Cut(rest, "/")
	return scheme + "://" + hosts + query, strings.TrimSuffix(path, "/")
}

func hasScheme(raw string, schemes ...string) bool {
	for _, scheme := range schemes {
		if strings.HasPrefix(raw, scheme+"://") {
			return true
		}
	}
	return false
}

// baseURL accepts what paths can be appended to.
func (r *reader) baseURL(name, fallback string) string {
	raw := r.get(name, fallback)
	u, err := url.Parse(raw)
	const bound = "an absolute http or https URL without user, trailing slash, query or fragment"
	switch {
	case err != nil:
		r.fault(name, "a value that is no URL", bound, "write it like https://id.example.com")
	case u.User != nil:
		r.fault(name, "a URL with a user in it (not shown)", bound, "remove the user and the password")
	case !isHTTP(u) || u.RawQuery != "" || u.ForceQuery || strings.Contains(raw, "#") || strings.HasSuffix(raw, "/"):
		r.fault(name, strconv.Quote(raw), bound, "write it like https://id.example.com")
	default:
		return raw
	}
	return fallback
}

// origins accepts what a browser sends as Origin, character by character.
func (r *reader) origins(name string) []string {
	origins := r.list(name, "")
	if len(origins) == 1 && origins[0] == "*" {
		return origins
	}
	for _, origin := range origins {
		u, err := url.Parse(origin)
		if err != nil || !isHTTP(u) || origin != u.Scheme+"://"+strings.ToLower(u.Host) {
			r.fault(name, strconv.Quote(origin), `exact origins separated by commas, or "*" alone`,
				"write each as https://app.example.com, without path or slash")
		}
	}
	return origins
}

func (r *reader) domain(name, fallback string) string {
	domain := r.get(name, fallback)
	u, err := url.Parse("https://" + domain)
	if err != nil || u.Host != domain || !isHTTP(u) {
		r.fault(name, strconv.Quote(domain), "host or host:port, without scheme or path", "write it like id.example.com")
		return fallback
	}
	return domain
}

// hostOf is host[:port] of a URL that baseURL accepted.
func hostOf(baseURL string) string {
	u, err := url.Parse(baseURL)
	if err != nil {
		return ""
	}
	return u.Host
}

func isHTTP(u *url.URL) bool {
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return false
	}
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	port, err := strconv.Atoi(u.Port())
	return err == nil && port >= 1 && port <= 65535
}
