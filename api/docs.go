package api

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/swaggest/swgui/v5/static"
)

//go:embed docs/index.html docs/docs.css docs/docs.js docs/icon.svg
var docsFiles embed.FS

// docsPolicy lets the pages under /docs load what this server serves, and
// nothing else: no inline script or style, no other host.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Docs is the description of this API as a page: Swagger UI, out of the
// binary, showing /openapi.json. It is safe for concurrent use.
type Docs struct {
	page   asset
	assets map[string]asset // by name
}

// LoadDocs collects the page and what it is made of.
func LoadDocs() (*Docs, error) {
	docs := &Docs{assets: map[string]asset{}}
	for _, source := range []struct {
		files fs.FS
		dir   string
		names []string
	}{
		{docsFiles, "docs", []string{"index.html", "docs.css", "docs.js", "icon.svg"}},
		{static.FS, ".", []string{"swagger-ui.css.gz", "swagger-ui-bundle.js.gz"}},
	} {
		for _, name := range source.names {
			data, err := fs.ReadFile(source.files, path.Join(source.dir, name))
			if err != nil {
				return nil, fmt.Errorf("docs: %w", err)
			}
			docs.add(name, data)
		}
	}
	docs.page = docs.assets["index.html"]
	delete(docs.assets, "index.html")
	return docs, nil
}

func (d *Docs) add(name string, data []byte) {
	digest := sha256.Sum256(data)
	a := asset{etag: `"` + hex.EncodeToString(digest[:8]) + `"`}
	name, gzipped := strings.CutSuffix(name, ".gz")
	if gzipped {
		a.gzipped = data
	} else {
		a.plain = data
	}
	a.contentType = mime.TypeByExtension(path.Ext(name))
	d.assets[name] = a
}

// ServePage answers GET /docs.
func (d *Docs) ServePage(c *gin.Context) {
	c.Header("Content-Security-Policy", docsPolicy)
	serveAsset(c, d.page)
}

// ServeAsset answers GET /docs/:asset, and leaves to notFound what is not there.
func (d *Docs) ServeAsset(notFound gin.HandlerFunc) gin.HandlerFunc {
	return func(c *gin.Context) {
		a, found := d.assets[c.Param("asset")]
		if !found {
			notFound(c)
			return
		}
		c.Header("Content-Security-Policy", docsPolicy)
		serveAsset(c, a)
	}
}

// serveGzipped unpacks for the few clients that do not take gzip.
func (a asset) serveGzipped(c *gin.Context) {
	c.Header("Vary", "Accept-Encoding")
	if acceptsGzip(c.GetHeader("Accept-Encoding")) {
		c.Header("Content-Encoding", "gzip")
		c.Data(http.StatusOK, a.contentType, a.gzipped)
		return
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(a.gzipped))
	if err != nil {
		panic(fmt.Sprintf("docs: built-in file is damaged: %v", err))
	}
	c.Header("Content-Type", a.contentType)
	c.Status(http.StatusOK)
	_, _ = io.Copy(c.Writer, unpacked) // a client that went away is no concern
}

func acceptsGzip(header string) bool {
	for coding := range strings.SplitSeq(header, ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(coding), ";")
		if strings.TrimSpace(name) == "gzip" {
			return strings.ReplaceAll(weight, " ", "") != "q=0"
		}
	}
	return false
}
