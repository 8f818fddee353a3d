package openapi

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
)

// ValidateResponse checks an answer against the description; it is for tests,
// so that description and behaviour cannot drift apart. RoutePattern is gin's
// ([gin.Context.FullPath]). Stricter than a client should be, it refuses an
// undescribed status, media type or JSON field, and a missing header. An
// answer at a path that is not described is an error, unless it is the 404 or
// 405 that a path or method gets which does not exist.
func (s *Spec) ValidateResponse(req *http.Request, routePattern string, status int, header http.Header, body []byte) error {
	operations, err := s.strict()
	if err != nil {
		return err
	}
	o := operations[operationKey{req.Method, routePattern}]
	if o == nil {
		if routePattern == "" && (status == http.StatusNotFound || status == http.StatusMethodNotAllowed) {
			return nil
		}
		return fmt.Errorf("%s %s is not described", req.Method, routePattern)
	}
	if err := o.checkMediaTypeOfAnswer(status, header, body); err != nil {
		return fmt.Errorf("%s %s: %d: %w", req.Method, routePattern, status, err)
	}
	options := *o.options
	options.ExcludeResponseBody = !decodable(header)
	err = openapi3filter.ValidateResponse(req.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, Route: o.route},
		Status:                 status,
		Header:                 header,
		Body:                   io.NopCloser(bytes.NewReader(body)),
		Options:                &options,
	})
	if err != nil {
		return fmt.Errorf("%s %s: %d: %w\nbody: %s", req.Method, routePattern, status, err, body)
	}
	return nil
}

func (o *operation) checkMediaTypeOfAnswer(status int, header http.Header, body []byte) error {
	described := o.route.Operation.Responses.Status(status)
	if described == nil {
		return nil // ValidateResponse says so better
	}
	content := described.Value.Content
	if len(content) == 0 && len(body) > 0 {
		return fmt.Errorf("there is a body of %d bytes where none is described", len(body))
	}
	if given := header.Get("Content-Type"); len(content) > 0 && content.Get(given) == nil {
		return fmt.Errorf("the media type %q is not described", given)
	}
	return nil
}

// decodable says whether there is a decoder for the body; pages, scripts and
// images are only checked for their media type.
func decodable(header http.Header) bool {
	media, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	return media == mediaJSON || media == "text/plain"
}

// compileStrict loads the document once more, with every object of an answer
// closed to fields that are not described.
func compileStrict(yaml []byte) (map[operationKey]*operation, error) {
	document, err := loadDocument(yaml)
	if err != nil {
		return nil, err
	}
	for _, schema := range document.Components.Schemas {
		closeObjects(schema.Value, map[*openapi3.Schema]bool{})
	}
	return compileOperations(document)
}

func closeObjects(schema *openapi3.Schema, seen map[*openapi3.Schema]bool) {
	if schema == nil || seen[schema] {
		return
	}
	seen[schema] = true
	if len(schema.Properties) > 0 && schema.AdditionalProperties.Has == nil {
		schema.AdditionalProperties.Has = new(false)
	}
	for _, property := range schema.Properties {
		closeObjects(property.Value, seen)
	}
	if schema.Items != nil {
		closeObjects(schema.Items.Value, seen)
	}
}
