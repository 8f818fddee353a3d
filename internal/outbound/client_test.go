package outbound_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/internal/outbound"
)

// inside are addresses of every kind that nobody outside may have called.
var inside = []string{
	"127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.254", "192.168.1.1", "169.254.169.254", "169.254.170.2",
	"100.64.0.1", "100.100.100.200", "192.0.0.192", "168.63.129.16", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.88.99.1",
	"224.0.0.1", "240.0.0.1", "255.255.255.255",
	"::", "::1", "fe80::1", "fe80::1%25lo", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "3fff::1",
	"::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::a00:1",
	"2002:7f00:1::", "2001:0:7f00:1::", "100::1", "5f00::1",
}

func bracketed(address string) string {
	if strings.Contains(address, ":") {
		return "[" + address + "]"
	}
	return address
}

func TestNothingInsideIsCalled(t *testing.T) {
	t.Parallel()
	client := outbound.New(outbound.Options{})
	for _, address := range inside {
		named := "https://" + bracketed(address) + "/jwks"
		if err := client.CheckURL(named); !errors.Is(err, outbound.ErrForbidden) {
			t.Errorf("CheckURL(%s): %v, want ErrForbidden", named, err)
		}
		if _, err := client.Get(t.Context(), named, "*/*"); !errors.Is(err, outbound.ErrForbidden) {
			t.Errorf("Get(%s): %v, want ErrForbidden", named, err)
		}
		if address == "::ffff:8.8.8.8" {
			continue // the kernel connects to 8.8.8.8, which is outside
		}
		dialled, err := netip.ParseAddr(strings.ReplaceAll(address, "%25", "%"))
		if err != nil {
			t.Fatal(err)
		}
		if err := outbound.Dial(client, dialled); !errors.Is(err, outbound.ErrForbidden) {
			t.Errorf("a connection to %s: %v, want ErrForbidden", dialled, err)
		}
	}
	for _, address := range []string{"8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1"} {
		if err := client.CheckURL("https://" + bracketed(address) + ":8443/jwks"); err != nil {
			t.Errorf("CheckURL(%s): %v", address, err)
		}
	}
}

func TestWhatIsNoHTTPSURLIsRefused(t *testing.T) {
	t.Parallel()
	client := outbound.New(outbound.Options{})
	for _, raw := range []string{
		"", "jwks", "/jwks", "http://partner.example/jwks", "HTTP://partner.example", "ftp://partner.example", "file:///etc/passwd",
		"https:partner.example", "https://", "https:///jwks", "https://:443/", "https://user@partner.example/", "https://u:p@partner.example/",
		"https://partner.example/#f", "https://partner.example/#", "https://partner.example/a b", "https://partner.example/\n",
		"https://pärtner.example/", "https://partner.example/" + strings.Repeat("a", 2048), "https://partner.example:port/",
	} {
		if err := client.CheckURL(raw); !errors.Is(err, outbound.ErrForbidden) {
			t.Errorf("CheckURL(%q): %v, want ErrForbidden", raw, err)
		}
	}
	if err := client.CheckURL("https://partner.example:8443/keys?tenant=a"); err != nil {
		t.Error(err)
	}
}

// The name is harmless and the address it resolves to is not: what counts is where
// the connection goes. localhost stands for any name whose owner points it inward.
func TestANameThatLeadsInsideIsRefusedWhenItIsCalled(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was called") }))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client := outbound.New(outbound.Options{Roots: rootsOf(server)})
	named := "https://localhost:" + port
	if err := client.CheckURL(named); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Get(t.Context(), named, "*/*"); !errors.Is(err, outbound.ErrForbidden) {
		t.Errorf("%v, want ErrForbidden", err)
	}
}

func TestAnOpenedRangeIsCalledAndNoOther(t *testing.T) {
	t.Parallel()
	client := outbound.New(outbound.Options{Allow: []netip.Prefix{netip.MustParsePrefix("10.7.0.0/16"), netip.MustParsePrefix("fd00:7::/32")}})
	for address, may := range map[string]bool{"10.7.1.1": true, "10.8.1.1": false, "127.0.0.1": false, "fd00:7::1": true, "fd00:8::1": false, "::ffff:10.7.1.1": false} {
		if err := client.CheckURL("https://" + bracketed(address)); (err == nil) != may {
			t.Errorf("%s: %v, may be called: %v", address, err, may)
		}
	}
}

// serve is a server on loopback, and a client that may call it.
func serve(t *testing.T, answer http.HandlerFunc) (*outbound.Client, string) {
	t.Helper()
	server := httptest.NewTLSServer(answer)
	t.Cleanup(server.Close)
	return outbound.New(outbound.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Roots: rootsOf(server)}), server.URL
}

func rootsOf(server *httptest.Server) *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return roots
}

func TestAnAnswerIsReadWhole(t *testing.T) {
	t.Parallel()
	client, at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") != "application/json" || r.Header.Get("Cookie") != "" || r.Header.Get("Authorization") != "" {
			t.Errorf("sent %v", r.Header)
		}
		_, _ = w.Write(bytes.Repeat([]byte("x"), outbound.MaxBody))
	})
	body, err := client.Get(t.Context(), at, "application/json")
	if err != nil || len(body) != outbound.MaxBody {
		t.Errorf("%d bytes, %v", len(body), err)
	}
}

func TestWhatAnswersBadlyIsAnError(t *testing.T) {
	t.Parallel()
	elsewhere, at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/large":
			_, _ = w.Write(make([]byte, 5<<20))
		case "/bomb": // what is compressed is not unpacked
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write(make([]byte, 5<<20))
			_ = z.Close()
		case "/redirect":
			http.Redirect(w, r, "/large", http.StatusFound)
		case "/missing":
			http.NotFound(w, r)
		case "/headers":
			w.Header().Set("X-Long", strings.Repeat("a", 1<<20))
		case "/cut":
			w.Header().Set("Content-Length", "10")
		}
	})
	for path, check := range map[string]func(error) bool{
		"/large":    func(err error) bool { return errors.Is(err, outbound.ErrTooLarge) },
		"/redirect": func(err error) bool { return isStatus(err, http.StatusFound) },
		"/missing":  func(err error) bool { return isStatus(err, http.StatusNotFound) },
		"/headers":  func(err error) bool { return err != nil },
		"/cut":      func(err error) bool { return err != nil },
	} {
		if body, err := elsewhere.Get(t.Context(), at+path+"?secret=s3cret", "*/*"); !check(err) || strings.Contains(fmt.Sprint(err), "s3cret") {
			t.Errorf("%s: %d bytes, %v", path, len(body), err)
		}
	}
	if body, err := elsewhere.Get(t.Context(), at+"/bomb", "*/*"); err != nil || len(body) > 64<<10 {
		t.Errorf("/bomb: %d bytes, %v", len(body), err)
	}
	stranger := outbound.New(outbound.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if _, err := stranger.Get(t.Context(), at, "*/*"); !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Errorf("a certificate that nobody vouches for: %v", err)
	}
}

func isStatus(err error, status int) bool {
	of, is := errors.AsType[*outbound.StatusError](err)
	return is && of.Status == status
}

// A server that sends a byte now and then holds nobody for longer than the bound.
func TestACallEndsInTime(t *testing.T) {
	t.Parallel()
	client, at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = w.Write([]byte(" "))
			_ = http.NewResponseController(w).Flush()
			time.Sleep(50 * time.Millisecond)
		}
	})
	start := time.Now()
	if _, err := client.Get(t.Context(), at, "*/*"); !errors.Is(err, outbound.ErrSlow) {
		t.Errorf("%v, want ErrSlow", err)
	}
	if took := time.Since(start); took > 2*outbound.Patience {
		t.Errorf("it took %s", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Get(ctx, at, "*/*"); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who has gone: %v", err)
	}
}

// A proxy of the environment would make the connection in our place.
func TestNoProxyIsUsed(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the proxy was used") }))
	t.Cleanup(proxy.Close)
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	if used, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: "https", Host: "partner.example"}}); err != nil || used == nil {
		t.Skip("the environment was read before this test could set it")
	}
	if _, err := outbound.New(outbound.Options{}).Get(t.Context(), "https://partner.invalid/", "*/*"); err == nil {
		t.Error("partner.invalid answered")
	}
}
