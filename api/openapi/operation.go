package openapi

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/mail"
	"slices"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/api/router"
)

// operation is one method of one path, with everything made ready that does
// not depend on the request.
type operation struct {
	route      *routers.Route
	pathParams []string
	query      map[string]bool // the query parameters there are
	headers    []string        // the header parameters there are, canonical
	body       *bodyRule       // nil when the operation takes no body
	options    *openapi3filter.Options
	// lenient: query parameters that are not described are ignored, as RFC 6749
	// section 3.1 has it. Elsewhere they are refused: they are likely misspelled.
	lenient bool
}

// bodyRule says what the body of an operation must be.
type bodyRule struct {
	required bool
	form     bool // application/x-www-form-urlencoded; application/json otherwise
	schema   *openapi3.Schema
	// repeatable are the parameters of a form that may stand there more than
	// once: those marked x-may-repeat.
	repeatable map[string]bool
	options    []openapi3.SchemaValidationOption
}

const (
	mediaJSON = "application/json"
	mediaForm = "application/x-www-form-urlencoded"
)

func compileOperations(document *openapi3.T) (map[operationKey]*operation, error) {
	options := &openapi3filter.Options{
		AuthenticationFunc:      openapi3filter.NoopAuthenticationFunc,
		ExcludeRequestBody:      true, // bodies are read once, strictly, by us
		SkipSettingDefaults:     true,
		IncludeResponseStatus:   true,
		SchemaValidationOptions: schemaOptions(),
	}
	operations := map[operationKey]*operation{}
	for path, item := range document.Paths.Map() {
		for method, described := range item.Operations() {
			o := &operation{
				options: options, query: map[string]bool{},
				lenient: strings.HasPrefix(path, "/oauth2/") || strings.HasPrefix(path, router.WellKnown),
			}
			o.addParameters(item.Parameters)
			o.addParameters(described.Parameters)
			if err := o.addBody(described.RequestBody); err != nil {
				return nil, fmt.Errorf("openapi.yaml: %s %s: %w", method, path, err)
			}
			o.route = &routers.Route{
				Spec: document, Path: path, PathItem: item, Method: method, Operation: withoutSecurity(described),
			}
			operations[operationKey{method, router.Pattern(path)}] = o
		}
	}
	return operations, nil
}

func (o *operation) addParameters(parameters openapi3.Parameters) {
	for _, ref := range parameters {
		switch name := ref.Value.Name; ref.Value.In {
		case openapi3.ParameterInPath:
			o.pathParams = append(o.pathParams, name)
		case openapi3.ParameterInQuery:
			o.query[name] = true
		case openapi3.ParameterInHeader:
			o.headers = append(o.headers, http.CanonicalHeaderKey(name))
		}
	}
}

func (o *operation) addBody(ref *openapi3.RequestBodyRef) error {
	if ref == nil {
		return nil
	}
	media := slices.Collect(maps.Keys(ref.Value.Content))
	if len(media) != 1 || media[0] != mediaJSON && media[0] != mediaForm {
		return fmt.Errorf("a body is either %s or %s, not %v", mediaJSON, mediaForm, media)
	}
	repeatable := map[string]bool{}
	for name, property := range ref.Value.Content[media[0]].Schema.Value.Properties {
		if may, _ := property.Value.Extensions["x-may-repeat"].(bool); may {
			repeatable[name] = true
		}
	}
	o.body = &bodyRule{
		repeatable: repeatable,
		required:   ref.Value.Required,
		form:       media[0] == mediaForm,
		schema:     ref.Value.Content[media[0]].Schema.Value,
		options:    append(schemaOptions(), openapi3.VisitAsRequest()),
	}
	return nil
}

// withoutSecurity is the operation without security requirements: who may call
// is decided elsewhere, and not looking saves reading the body twice.
func withoutSecurity(described *openapi3.Operation) *openapi3.Operation {
	open := *described
	open.Security = openapi3.NewSecurityRequirements()
	return &open
}

// schemaOptions check the formats that openapi3 leaves alone or is lenient
// about, so that what passes here can be decoded by the handlers.
func schemaOptions() []openapi3.SchemaValidationOption {
	return []openapi3.SchemaValidationOption{
		openapi3.WithStringFormatValidators(map[string]openapi3.StringFormatValidator{
			"uuid":      openapi3.NewCallbackValidator(validateUUID),
			"email":     openapi3.NewCallbackValidator(validateEmail),
			"date-time": openapi3.NewCallbackValidator(validateTime),
		}),
		openapi3.DisableSchemaErrorDetails(),
	}
}

var (
	errNotUUID  = errors.New("must be a UUID")
	errNotEmail = errors.New("must be a plain e-mail address")
	errNotTime  = errors.New("must be a time of RFC 3339, such as 2026-11-23T07:21:00.123Z")
)

func validateUUID(s string) error {
	if len(s) != len(uuid.Nil.String()) || uuid.Validate(s) != nil {
		return errNotUUID
	}
	return nil
}

func validateEmail(s string) error {
	if address, err := mail.ParseAddress(s); err != nil || address.Address != s {
		return errNotEmail
	}
	return nil
}

// validateTime takes T and Z in lower case too (RFC 3339 section 5.6).
func validateTime(s string) error {
	var t time.Time
	if t.UnmarshalText([]byte(strings.ToUpper(s))) != nil || t.UTC().Year() < 1 || t.UTC().Year() > 9999 {
		return errNotTime
	}
	return nil
}
