package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/strictjson"
)

// maxBodySize bounds every request body.
const maxBodySize = 64 << 10

// checkBody reads the body once, whatever it claims about its length, checks
// it, and puts it back. An operation that takes no body does not look at one.
func (o *operation) checkBody(c *gin.Context) *domain.Error {
	r := c.Request
	if r.ContentLength > maxBodySize && r.Method != http.MethodGet { // a GET's body has no meaning and is never read
		return rejectTooLarge()
	}
	if o.body == nil {
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = http.MaxBytesReader(c.Writer, r.Body, maxBodySize)
		}
		return nil
	}
	data, rejected := readBody(c)
	if rejected != nil {
		return rejected
	}
	if !o.body.required && !o.body.form && string(bytes.TrimSpace(data)) == "null" {
		data = nil // what some generated clients send for a body that is left out
	}
	rewind(r, data)
	if len(data) == 0 {
		if o.body.required {
			return rejectField("body", "", "required", "is missing", nil)
		}
		return nil
	}
	if rejected := o.body.checkMediaType(r.Header); rejected != nil {
		return rejected
	}
	if o.body.form {
		return o.body.checkForm(r, data)
	}
	return o.body.checkJSON(r, data)
}

func rejectTooLarge() *domain.Error {
	return as(router.CodePayloadTooLarge,
		rejectField("body", "", "maxBytes", fmt.Sprintf("must be at most %d bytes", maxBodySize), maxBodySize))
}

func readBody(c *gin.Context) ([]byte, *domain.Error) {
	if c.Request.Body == nil || c.Request.Body == http.NoBody {
		return nil, nil
	}
	data, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxBodySize))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, rejectTooLarge()
	case err != nil:
		return nil, rejectField("body", "", "read", "could not be read to its end", nil)
	}
	return data, nil
}

func rewind(r *http.Request, data []byte) {
	r.ContentLength = int64(len(data))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	r.Body, _ = r.GetBody()
}

// checkMediaType takes no parameter but charset=utf-8, and no content coding.
// OAuth endpoints have no 415: there a wrong type is a malformed request
// (RFC 6749 section 5.2).
func (b *bodyRule) checkMediaType(header http.Header) *domain.Error {
	want, code := mediaJSON, router.CodeUnsupportedMediaType
	if b.form {
		want, code = mediaForm, domain.CodeValidation
	}
	if coding := header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return as(code, rejectField("header", "Content-Encoding", "contentEncoding", "must be left out", nil))
	}
	if values := header["Content-Type"]; len(values) != 1 || !isMediaType(values[0], want) {
		return as(code, rejectField("header", "Content-Type", "contentType", "must be "+want, want))
	}
	return nil
}

func isMediaType(header, want string) bool {
	if header == want {
		return true
	}
	media, parameters, err := mime.ParseMediaType(header)
	charset, hasCharset := parameters["charset"]
	return err == nil && media == want && (!hasCharset || strings.EqualFold(charset, "utf-8"))
}

func (b *bodyRule) checkJSON(r *http.Request, data []byte) *domain.Error {
	value, fault := strictjson.Parse(data)
	if fault != nil {
		rejected := rejectField("body", strings.Join(fault.Path, "."), fault.Rule, fault.Message, fault.Bound).
			With("position", fault.Position)
		if len(fault.Path) > 0 {
			rejected = rejected.With("pointer", pointer(fault.Path))
		}
		return rejected
	}
	if err := b.schema.VisitJSON(value, b.options...); err != nil {
		return rejectBody(err)
	}
	if rejected := b.checkIntegers(value); rejected != nil {
		return rejected
	}
	return b.applyUnset(r, value)
}

// checkIntegers refuses 1e2 and 2.0 where an integer is wanted: they are
// integers to JSON Schema, but not to most decoders, ours included.
func (b *bodyRule) checkIntegers(value any) *domain.Error {
	object, _ := value.(map[string]any)
	for name, property := range b.schema.Properties {
		number, isNumber := object[name].(json.Number)
		if isNumber && property.Value.Type.Is(openapi3.TypeInteger) && strings.ContainsAny(number.String(), ".eE") {
			return rejectField("body", name, "type", "must be an integer, written with digits only", openapi3.TypeInteger).
				With("pointer", pointer([]string{name}))
		}
	}
	return nil
}

// checkForm leaves the form in r.PostForm. Unknown parameters are ignored
// (RFC 6749 section 3.2).
func (b *bodyRule) checkForm(r *http.Request, data []byte) *domain.Error {
	form, fault := readPairs(string(data), b.repeatable)
	if fault != nil {
		return rejectField("body", fault.name, fault.rule, fault.message, nil)
	}
	object := make(map[string]any, len(form))
	for name, values := range form {
		if form[name] = slices.DeleteFunc(values, func(value string) bool { return value == "" }); len(form[name]) == 0 {
			delete(form, name)
			continue
		}
		if b.schema.Properties[name] != nil {
			object[name] = form[name][0]
		}
	}
	if err := b.schema.VisitJSON(object, b.options...); err != nil {
		return rejectBody(err)
	}
	r.PostForm, r.Form = form, url.Values{}
	maps.Copy(r.Form, form)
	return nil
}
