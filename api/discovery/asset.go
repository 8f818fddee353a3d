package discovery

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
)

// asset is a file that is served as it is. One of plain and gzipped is set.
type asset struct {
	contentType string
	etag        string
	plain       []byte
	gzipped     []byte
}

func etagOf(data []byte) string {
	digest := sha256.Sum256(data)
	return `"` + hex.EncodeToString(digest[:8]) + `"`
}

// fiveMinutes lets clients keep a file for so long, and then ask whether it is still
// current.
const fiveMinutes = "public, max-age=300"

// serveAsset answers with a file, or that the client has it.
func serveAsset(c *gin.Context, a asset) error {
	c.Header("ETag", a.etag)
	if etagMatches(c.Request.Header.Values("If-None-Match"), a.etag) {
		c.AbortWithStatus(http.StatusNotModified)
		return nil
	}
	if a.plain != nil {
		c.Data(http.StatusOK, a.contentType, a.plain)
		return nil
	}
	return a.serveGzipped(c)
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

// serveGzipped unpacks for the few clients that do not take gzip.
func (a asset) serveGzipped(c *gin.Context) error {
	c.Header("Vary", "Accept-Encoding")
	if acceptsGzip(c.GetHeader("Accept-Encoding")) {
		c.Header("Content-Encoding", "gzip")
		c.Data(http.StatusOK, a.contentType, a.gzipped)
		return nil
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(a.gzipped))
	if err != nil {
		return fmt.Errorf("docs: a built-in file is damaged: %w", err)
	}
	c.Header("Content-Type", a.contentType)
	c.Status(http.StatusOK)
	_, _ = io.Copy(c.Writer, unpacked) // a client that went away is no concern
	return nil
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
