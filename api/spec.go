package api

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"
)

//go:embed openapi.yaml
var specYAML []byte

// Spec is the description of this API: what is published at /openapi.json,
// what requests are checked against, and what tests check responses against.
// It never changes once loaded and is safe for concurrent use.
type Spec struct {
	document   *openapi3.T
	operations map[operationKey]*operation
	published  []byte // the document as JSON
	etag       string // of published

	strict func() (map[operationKey]*operation, error) // for responses: as operations, but closed to undescribed fields
}

// operationKey names an operation as gin does: ("GET", "/api/v1/agents/:agentId").
type operationKey struct{ method, pattern string }

// LoadSpec reads the description that is built in and checks it against
// OpenAPI 3.0.3, examples included.
func LoadSpec() (*Spec, error) { return LoadSpecFor("") }

// LoadSpecFor is [LoadSpec], published as that of a server at this URL, so that
// what is made from it finds the server wherever it runs. Without a URL it is
// published as it is built in.
func LoadSpecFor(publicURL string) (*Spec, error) {
	document, err := loadDocument()
	if err != nil {
		return nil, err
	}
	if publicURL != "" {
		document.Servers = openapi3.Servers{{URL: publicURL}}
		for _, scheme := range document.Components.SecuritySchemes {
			if flows := scheme.Value.Flows; flows != nil && flows.ClientCredentials != nil {
				flows.ClientCredentials.TokenURL = publicURL + tokenPath
			}
		}
	}
	published, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	operations, err := compileOperations(document)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(published)
	return &Spec{
		document:   document,
		operations: operations,
		published:  published,
		etag:       `"` + hex.EncodeToString(digest[:8]) + `"`,
		strict:     sync.OnceValues(compileStrict),
	}, nil
}

func loadDocument() (*openapi3.T, error) {
	document, err := openapi3.NewLoader().LoadFromData(specYAML)
	if err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	if err := document.Validate(context.Background(), openapi3.EnableExamplesValidation()); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	return document, nil
}

// ginPattern turns /agents/{agentId} into /agents/:agentId.
func ginPattern(path string) string {
	return strings.NewReplacer("{", ":", "}", "").Replace(path)
}

// ServeDocument answers GET /openapi.json.
func (s *Spec) ServeDocument(c *gin.Context) {
	serveAsset(c, asset{contentType: "application/json", etag: s.etag, plain: s.published})
}

// Undescribed lists the routes that stand nowhere in the description, and
// Unserved the described operations that no route serves, both as
// "GET /api/v1/agents/:agentId". A server whose routes and description agree
// has neither.
func (s *Spec) Undescribed(routes gin.RoutesInfo) []string {
	var extra []string
	for _, route := range routes {
		if _, known := s.operations[operationKey{route.Method, route.Path}]; !known {
			extra = append(extra, route.Method+" "+route.Path)
		}
	}
	slices.Sort(extra)
	return extra
}

// Unserved is explained at [Spec.Undescribed].
func (s *Spec) Unserved(routes gin.RoutesInfo) []string {
	served := make(map[operationKey]bool, len(routes))
	for _, route := range routes {
		served[operationKey{route.Method, route.Path}] = true
	}
	var missing []string
	for key := range s.operations {
		if !served[key] {
			missing = append(missing, key.method+" "+key.pattern)
		}
	}
	slices.Sort(missing)
	return missing
}

// asset is a file that is served as it is. One of plain and gzipped is set.
type asset struct {
	contentType string
	etag        string
	plain       []byte
	gzipped     []byte
}

// serveAsset lets clients keep the file for five minutes and then ask whether
// it is still current.
func serveAsset(c *gin.Context, a asset) {
	header := c.Writer.Header()
	header.Set("Cache-Control", "public, max-age=300")
	header.Set("ETag", a.etag)
	if etagMatches(c.Request.Header.Values("If-None-Match"), a.etag) {
		c.AbortWithStatus(http.StatusNotModified)
		return
	}
	if a.plain != nil {
		c.Data(http.StatusOK, a.contentType, a.plain)
		return
	}
	a.serveGzipped(c)
}

// etagMatches is the weak comparison of RFC 9110 section 13.1.2.
func etagMatches(header []string, etag string) bool {
	for _, line := range header {
		for candidate := range strings.SplitSeq(line, ",") {
			candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
			if candidate == etag || candidate == "*" {
				return true
			}
		}
	}
	return false
}
