package config

import (
	"log/slog"
	"net/url"
	"strings"
)

// LogValue shows what a start-up log needs; of the service URLs it shows scheme, host and path alone.
func (c Config) LogValue() slog.Value {
	var shown []slog.Attr
	for _, section := range sections {
		for _, setting := range section.settings {
			if setting.log != "" {
				shown = append(shown, slog.Any(setting.log, setting.show(c)))
			}
		}
	}
	return slog.GroupValue(shown...)
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
