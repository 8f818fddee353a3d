package openapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/domain"
)

// Check holds a request against the description. The error refuses it: parameters
// and body have to be as described. Who may call is not its concern. Routes that
// are not described pass unchecked.
//
// Afterwards the body can be read again, once, and a form stands in
// Request.PostForm, without the parameters that have no value: those count as
// left out (RFC 6749 section 3.2).
func (s *Spec) Check(c *gin.Context) error {
	o := s.operations[operationKey{c.Request.Method, c.FullPath()}]
	if o == nil {
		return nil
	}
	if rejected := o.check(c); rejected != nil {
		return rejected
	}
	return nil
}

func (o *operation) check(c *gin.Context) *domain.Error {
	query, rejected := o.readQuery(c.Request.URL.RawQuery)
	if rejected != nil {
		return rejected
	}
	if rejected := o.checkHeaders(c.Request.Header); rejected != nil {
		return rejected
	}
	if rejected := o.checkParameters(c, query); rejected != nil {
		return rejected
	}
	return o.checkBody(c)
}

func (o *operation) checkParameters(c *gin.Context, query url.Values) *domain.Error {
	if len(o.pathParams)+len(o.query)+len(o.headers) == 0 {
		return nil
	}
	var path map[string]string
	if len(o.pathParams) > 0 {
		path = make(map[string]string, len(o.pathParams))
		for _, name := range o.pathParams {
			path[name] = c.Param(name)
		}
	}
	err := openapi3filter.ValidateRequest(c, &openapi3filter.RequestValidationInput{
		Request: c.Request, PathParams: path, QueryParams: query, Route: o.route, Options: o.options,
	})
	if err != nil {
		return rejectParameter(err)
	}
	return nil
}

// readQuery is stricter than [url.URL.Query], which drops what it cannot read.
func (o *operation) readQuery(raw string) (url.Values, *domain.Error) {
	if o.lenient && len(o.query) == 0 {
		return nil, nil
	}
	query, fault := readPairs(raw, nil)
	if fault != nil {
		return nil, rejectField("query", fault.name, fault.rule, fault.message, nil)
	}
	for name := range query {
		if !o.query[name] {
			return nil, rejectField("query", name, "unknown", "is not a known query parameter", nil)
		}
	}
	return query, nil
}

// checkHeaders refuses a described header that is there twice: which of the
// two would count is not to be guessed.
func (o *operation) checkHeaders(header http.Header) *domain.Error {
	for _, name := range o.headers {
		values := header[name]
		if len(values) > 1 {
			return rejectField("header", name, "duplicate", "must be given only once", nil)
		}
		if len(values) == 1 && !isText(values[0]) {
			return rejectField("header", name, "text", "must be UTF-8 text without NUL characters", nil)
		}
	}
	return nil
}

// pairsFault says why a query or a form cannot be read.
type pairsFault struct{ name, rule, message string }

// readPairs reads a query or a form (application/x-www-form-urlencoded) in
// which every name stands at most once, but for those that may be repeated.
func readPairs(raw string, repeatable map[string]bool) (url.Values, *pairsFault) {
	if raw == "" {
		return url.Values{}, nil
	}
	if strings.Contains(raw, ";") {
		return nil, &pairsFault{"", "syntax", "has a semicolon that is not percent-encoded"}
	}
	pairs, err := url.ParseQuery(raw)
	if err != nil {
		return nil, &pairsFault{"", "syntax", "is not properly percent-encoded"}
	}
	names := make([]string, 0, len(pairs))
	for name := range pairs {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		switch values := pairs[name]; {
		case !isText(name), !isText(strings.Join(values, "")):
			return nil, &pairsFault{name, "text", "must be UTF-8 text without NUL characters"}
		case len(values) > 1 && !repeatable[name]:
			return nil, &pairsFault{name, "duplicate", "must be given only once"}
		}
	}
	return pairs, nil
}

func isText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }
