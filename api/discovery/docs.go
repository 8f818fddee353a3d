package discovery

import (
	"embed"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/swaggest/swgui/v5/static"

	"github.com/sentryagent/agentidp/api/router"
)

//go:embed docs/index.html docs/docs.css docs/docs.js docs/icon.svg
var docsFiles embed.FS

// docsPolicy lets the pages under /docs load what this server serves, and
// nothing else: no inline script or style, no other host.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// docs is the description of this API as a page: Swagger UI, out of the
// binary, showing /openapi.json. It is safe for concurrent use.
type docs struct {
	description asset
	page        asset
	assets      map[string]asset // by name
}

// loadDocs collects the page and what it is made of; the description is that of the
// API, as JSON.
func loadDocs(description []byte) (*docs, error) {
	d := &docs{
		description: asset{contentType: "application/json", etag: etagOf(description), plain: description},
		assets:      map[string]asset{},
	}
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
			d.add(name, data)
		}
	}
	d.page = d.assets["index.html"]
	delete(d.assets, "index.html")
	return d, nil
}

func (d *docs) add(name string, data []byte) {
	a := asset{etag: etagOf(data)}
	name, gzipped := strings.CutSuffix(name, ".gz")
	if gzipped {
		a.gzipped = data
	} else {
		a.plain = data
	}
	a.contentType = mime.TypeByExtension(path.Ext(name))
	d.assets[name] = a
}

// routes are those of the documentation.
func (d *docs) routes() []router.Route {
	return []router.Route{
		{Method: http.MethodGet, Path: "/docs", Access: router.Open, Cache: fiveMinutes, Handler: d.servePage},
		{Method: http.MethodGet, Path: "/docs/{asset}", Access: router.Open, Cache: fiveMinutes, Handler: d.serveAsset},
		{Method: http.MethodGet, Path: "/openapi.json", Access: router.Open, Cache: fiveMinutes, Handler: d.serveDescription},
	}
}

// servePage answers GET /docs.
func (d *docs) servePage(c *gin.Context) error {
	c.Header("Content-Security-Policy", docsPolicy)
	return serveAsset(c, d.page)
}

// serveAsset answers GET /docs/{asset}.
func (d *docs) serveAsset(c *gin.Context) error {
	a, found := d.assets[c.Param("asset")]
	if !found {
		return router.ErrNothingHere
	}
	c.Header("Content-Security-Policy", docsPolicy)
	return serveAsset(c, a)
}

// serveDescription answers GET /openapi.json.
func (d *docs) serveDescription(c *gin.Context) error { return serveAsset(c, d.description) }
