package router

import (
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestCallersAddress(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("2001:db8:ffff::/48"), netip.MustParsePrefix("127.0.0.1/32"),
	}
	const proxy, stranger = "10.0.0.1:50000", "192.0.2.9:50000"
	type headers = map[string][]string
	forwarded := func(lines ...string) headers { return headers{"X-Forwarded-For": lines} }
	for name, tc := range map[string]struct {
		peer    string
		header  headers
		want    string
		certain bool
	}{
		"no proxy":                             {stranger, nil, "192.0.2.9", true},
		"no proxy, IPv6":                       {"[2001:db8::1]:443", nil, "2001:db8::1", true},
		"no proxy, IPv6 with a zone":           {"[fe80::1%eth0]:443", nil, "fe80::1", true},
		"no proxy, IPv4 in IPv6 form":          {"[::ffff:203.0.113.5]:443", nil, "203.0.113.5", true},
		"a proxy itself":                       {proxy, nil, "10.0.0.1", true},
		"one hop":                              {proxy, forwarded("203.0.113.5"), "203.0.113.5", true},
		"a proxy in IPv6 form":                 {"[::ffff:10.0.0.1]:50000", forwarded("203.0.113.5"), "203.0.113.5", true},
		"with a port":                          {proxy, forwarded("203.0.113.5:4321"), "203.0.113.5", true},
		"IPv6":                                 {proxy, forwarded("2001:db8::1"), "2001:db8::1", true},
		"IPv6 with a port":                     {proxy, forwarded("[2001:db8::1]:443"), "2001:db8::1", true},
		"IPv6 in brackets":                     {proxy, forwarded("[2001:db8::1]"), "2001:db8::1", true},
		"IPv4 in IPv6 form":                    {proxy, forwarded("::ffff:203.0.113.5"), "203.0.113.5", true},
		"IPv4 in IPv6 form with a port":        {proxy, forwarded("[::ffff:203.0.113.5]:4321"), "203.0.113.5", true},
		"what the caller wrote before":         {proxy, forwarded("127.0.0.1, 203.0.113.5"), "203.0.113.5", true},
		"what the caller wrote, on a line":     {proxy, forwarded("127.0.0.1", "203.0.113.5"), "203.0.113.5", true},
		"through two proxies":                  {proxy, forwarded("198.51.100.1, 203.0.113.5, 10.0.0.2:80"), "203.0.113.5", true},
		"through two proxies, on lines":        {proxy, forwarded("198.51.100.1, 203.0.113.5", "10.0.0.2"), "203.0.113.5", true},
		"through a proxy in IPv6 form":         {proxy, forwarded("203.0.113.5, ::ffff:10.0.0.2"), "203.0.113.5", true},
		"through an IPv6 proxy":                {"[2001:db8:ffff::1]:9", forwarded("203.0.113.5,2001:db8:ffff::2"), "203.0.113.5", true},
		"from a proxy":                         {proxy, forwarded("10.0.0.3"), "10.0.0.3", true},
		"white space and empty elements":       {proxy, forwarded(" 203.0.113.5 ,, \t"), "203.0.113.5", true},
		"unknown":                              {proxy, forwarded("unknown"), "10.0.0.1", false},
		"an obfuscated hop":                    {proxy, forwarded("203.0.113.5, _hidden, 10.0.0.2"), "10.0.0.2", false},
		"a hop that is no address":             {proxy, forwarded("127.0.0.1, 203.0.113.5:port"), "10.0.0.1", false},
		"a port out of range":                  {proxy, forwarded("203.0.113.5:70000"), "10.0.0.1", false},
		"only what is not believed":            {proxy, headers{"X-Real-Ip": {"6.6.6.6"}, "Forwarded": {"for=6.6.6.6"}}, "10.0.0.1", false},
		"beside what is not believed":          {proxy, headers{"X-Forwarded-For": {"203.0.113.5"}, "X-Real-Ip": {"6.6.6.6"}}, "203.0.113.5", true},
		"a bad hop beside X-Real-IP":           {proxy, headers{"X-Forwarded-For": {"?"}, "X-Real-Ip": {"6.6.6.6"}}, "10.0.0.1", false},
		"a stranger's X-Forwarded-For":         {stranger, forwarded("127.0.0.1"), "192.0.2.9", false},
		"a stranger's Via":                     {stranger, headers{"Via": {"1.1 proxy"}}, "192.0.2.9", false},
		"a stranger's Forwarded":               {stranger, headers{"Forwarded": {"for=127.0.0.1"}}, "192.0.2.9", false},
		"a stranger's X-Real-IP":               {stranger, headers{"X-Real-Ip": {"127.0.0.1"}}, "192.0.2.9", false},
		"a hop beside the trusted range":       {proxy, forwarded("203.0.113.5, 10.0.1.2"), "10.0.1.2", true},
		"loopback that a proxy has really met": {proxy, forwarded("203.0.113.5, 127.0.0.1"), "203.0.113.5", true},
	} {
		header := http.Header(tc.header)
		got := addressOf(&http.Request{RemoteAddr: tc.peer, Header: header}, proxies)
		if got.String() != tc.want || got.Certain != tc.certain {
			t.Errorf("%s: %s, certain %v; want %s, %v", name, got.Addr, got.Certain, tc.want, tc.certain)
		}
	}
	if got := addressOf(&http.Request{RemoteAddr: "@", Header: forwarded("127.0.0.1")}, proxies); got.IsValid() || got.Certain {
		t.Errorf("a connection without an address: %v", got)
	}
}

// TestOneFunctionJudgesAddresses: an address that was taken from anywhere else
// would be one that callers choose.
func TestOneFunctionJudgesAddresses(t *testing.T) {
	t.Parallel()
	other := regexp.MustCompile(`ClientIP\(|RemoteIP\(|RemoteAddr|"X-Real-I|"X-Forwarded-For|"Forwarded"`)
	looked := 0
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || path == filepath.Join("..", "router", "caller_address.go") {
			return err
		}
		looked++
		text, err := os.ReadFile(path)
		if found := other.Find(text); found != nil {
			t.Errorf("%s has %s: ask CallerAddress", path, found)
		}
		return err
	})
	if err != nil || looked == 0 {
		t.Fatalf("%d files (%v)", looked, err)
	}
}

func BenchmarkCallersAddress(b *testing.B) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}
	r := &http.Request{RemoteAddr: "10.0.0.1:50000", Header: http.Header{"X-Forwarded-For": {"203.0.113.5:4321"}}}
	for b.Loop() {
		if !addressOf(r, proxies).Certain {
			b.Fatal("uncertain")
		}
	}
}
