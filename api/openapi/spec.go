package openapi

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"
)

// Spec is the description of an API. It never changes once loaded and is safe for
// concurrent use.
type Spec struct {
	document   *openapi3.T
	operations map[operationKey]*operation
	published  []byte // the document as JSON

	strict func() (map[operationKey]*operation, error) // for responses: as operations, but closed to undescribed fields
}

// tokenPath is where a client gets a token.
const tokenPath = "/oauth2/token"

// operationKey names an operation as gin does: ("GET", "/api/v1/agents/:agentId").
type operationKey struct{ method, pattern string }

// Load reads a description and checks it against OpenAPI 3.0.3, examples included.
// It is published as that of a server at publicURL, so that what is made from it
// finds the server wherever it runs; without a URL it is published as it is.
func Load(yaml []byte, publicURL string) (*Spec, error) {
	document, err := loadDocument(yaml)
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
	return &Spec{
		document:   document,
		operations: operations,
		published:  published,
		strict:     sync.OnceValues(func() (map[operationKey]*operation, error) { return compileStrict(yaml) }),
	}, nil
}

func loadDocument(yaml []byte) (*openapi3.T, error) {
	document, err := openapi3.NewLoader().LoadFromData(yaml)
	if err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	if err := document.Validate(context.Background(), openapi3.EnableExamplesValidation()); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	return document, nil
}

// Published is the description as JSON. It must not be changed.
func (s *Spec) Published() []byte { return s.published }

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
