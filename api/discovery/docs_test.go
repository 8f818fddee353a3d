package discovery

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/api/openapi"
	"github.com/sentryagent/agentidp/api/router"
)

func docsEngine(t testing.TB) http.Handler {
	t.Helper()
	yaml, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	spec, err := openapi.Load(yaml, "")
	if err != nil {
		t.Fatal(err)
	}
	room, err := New(Handler{Description: spec.Published()})
	if err != nil {
		t.Fatal(err)
	}
	server := router.New(router.Options{
		Now: time.Now, Logger: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
	}, router.Steps{Validate: spec.Check})
	if err := server.Add(room.Routes()...); err != nil {
		t.Fatal(err)
	}
	return server
}

func getDocs(engine http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	recorder := httptest.NewRecorder()
	engine.ServeHTTP(recorder, request)
	return recorder
}

func TestDocsNeedNothingFromElsewhere(t *testing.T) {
	engine := docsEngine(t)
	page := getDocs(engine, "/docs")
	if page.Code != http.StatusOK || !strings.HasPrefix(page.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("got %d %s", page.Code, page.Header().Get("Content-Type"))
	}
	html := page.Body.String()
	if regexp.MustCompile(`(?i)(src|href)="(https?:)?//|<script>|<style|\son\w+=|style="`).MatchString(html) {
		t.Errorf("the page loads from elsewhere or has something inline:\n%s", html)
	}
	policy := page.Header().Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
		t.Errorf("the content security policy is weak: %s", policy)
	}
	for _, match := range regexp.MustCompile(`(?:src|href)="(docs/[^"]+)"`).FindAllStringSubmatch(html, -1) {
		asset := getDocs(engine, "/"+match[1], "Accept-Encoding", "gzip, br")
		if asset.Code != http.StatusOK || asset.Body.Len() == 0 || asset.Header().Get("Content-Type") == "" {
			t.Errorf("%s: got %d, %d bytes of %q", match[1], asset.Code, asset.Body.Len(), asset.Header().Get("Content-Type"))
		}
		if asset.Header().Get("Content-Security-Policy") != policy {
			t.Errorf("%s has another policy than the page", match[1])
		}
	}
}

func TestDocsAssetsComePackedOrPlain(t *testing.T) {
	engine := docsEngine(t)
	packed := getDocs(engine, "/docs/swagger-ui.css", "Accept-Encoding", "br, gzip;q=0.5")
	if packed.Header().Get("Content-Encoding") != "gzip" || packed.Header().Get("Vary") != "Accept-Encoding" {
		t.Fatalf("not packed: %v", packed.Header())
	}
	reader, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, coding := range []string{"", "br", "gzip;q=0", "gzip; q=0"} {
		plain := getDocs(engine, "/docs/swagger-ui.css", "Accept-Encoding", coding)
		if plain.Header().Get("Content-Encoding") != "" || !bytes.Equal(plain.Body.Bytes(), unpacked) {
			t.Errorf("Accept-Encoding %q: got %d bytes coded %q, want %d plain", coding,
				plain.Body.Len(), plain.Header().Get("Content-Encoding"), len(unpacked))
		}
	}
	etag := packed.Header().Get("ETag")
	if again := getDocs(engine, "/docs/swagger-ui.css", "If-None-Match", etag); again.Code != http.StatusNotModified {
		t.Errorf("the same ETag: got %d, want 304", again.Code)
	}
}

func TestDocsServeNothingElse(t *testing.T) {
	engine := docsEngine(t)
	for _, path := range []string{"/docs/index.html", "/docs/docs.go", "/docs/..%2fopenapi.yaml", "/docs/swagger-ui.css.gz", "/docs/embed.go"} {
		if got := getDocs(engine, path); got.Code != http.StatusNotFound {
			t.Errorf("%s: got %d, want 404", path, got.Code)
		}
	}
}

func TestDocumentIsServedWithETag(t *testing.T) {
	engine := docsEngine(t)
	get := func(etag string) *httptest.ResponseRecorder {
		request := httptest.NewRequest(http.MethodGet, "/openapi.json", nil)
		if etag != "" {
			request.Header.Set("If-None-Match", etag)
		}
		recorder := httptest.NewRecorder()
		engine.ServeHTTP(recorder, request)
		return recorder
	}
	first := get("")
	var document struct{ OpenAPI string }
	if err := json.Unmarshal(first.Body.Bytes(), &document); err != nil || document.OpenAPI != "3.0.3" {
		t.Fatalf("got %d %q, %v", first.Code, document.OpenAPI, err)
	}
	if strings.Contains(first.Body.String(), "x-go-") {
		t.Error("the published document tells of Go types")
	}
	etag := first.Header().Get("ETag")
	for _, header := range []string{etag, "W/" + etag, `"other", ` + etag, "*"} {
		if again := get(header); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
			t.Errorf("If-None-Match %s: got %d with %d bytes, want 304 with none", header, again.Code, again.Body.Len())
		}
	}
	if other := get(`"other"`); other.Code != http.StatusOK {
		t.Errorf("another ETag: got %d, want 200", other.Code)
	}
}
