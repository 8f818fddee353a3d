package openapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
)

const descriptionFile = "../openapi.yaml"

func description(t testing.TB) []byte {
	t.Helper()
	yaml, err := os.ReadFile(descriptionFile)
	if err != nil {
		t.Fatal(err)
	}
	return yaml
}

func mustLoadSpec(t testing.TB) *Spec {
	t.Helper()
	spec, err := Load(description(t), "")
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// answered is what a request came to: reached with the body that the handler
// could read, or rejected.
type answered struct {
	reached  bool
	body     string
	form     map[string][]string
	status   int
	code     domain.Code
	message  string
	details  map[string]any
	recorder *httptest.ResponseRecorder
}

// specEngine is a server whose every described route tells what reached it.
func specEngine(t testing.TB, spec *Spec, seen *answered) *gin.Engine {
	t.Helper()
	gin.SetMode(gin.TestMode)
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	engine.Use(func(c *gin.Context) {
		err := spec.Check(c)
		if refusal, refused := errors.AsType[*domain.Error](err); refused {
			seen.code, seen.message, seen.details = refusal.Code, refusal.Message, refusal.Details
			c.AbortWithStatusJSON(router.StatusOf(refusal.Code), gin.H{"code": refusal.Code, "message": refusal.Message, "details": refusal.Details})
		} else if err != nil {
			t.Errorf("%v is no refusal", err)
		}
	})
	for key, o := range spec.operations {
		engine.Handle(key.method, key.pattern, func(c *gin.Context) {
			seen.reached = true
			if o.body != nil && c.Request.Body != nil {
				body, err := c.GetRawData()
				if err != nil {
					t.Errorf("the body cannot be read again: %v", err)
				}
				seen.body = string(body)
			}
			seen.form = c.Request.PostForm
			c.Status(http.StatusNoContent)
		})
	}
	return engine
}

func sendChecked(t testing.TB, spec *Spec, request *http.Request) answered {
	t.Helper()
	seen := answered{recorder: httptest.NewRecorder()}
	specEngine(t, spec, &seen).ServeHTTP(seen.recorder, request)
	seen.status = seen.recorder.Code
	return seen
}

func TestEveryOperationIsFullyDescribed(t *testing.T) {
	ids := map[string]string{}
	for key, o := range mustLoadSpec(t).operations {
		name := key.method + " " + key.pattern
		operation := o.route.Operation
		if operation.OperationID == "" || operation.Summary == "" || operation.Description == "" || len(operation.Tags) != 1 {
			t.Errorf("%s lacks an id, a summary, a description or its one tag", name)
		}
		if other, twice := ids[operation.OperationID]; twice {
			t.Errorf("%s and %s share the id %s", name, other, operation.OperationID)
		}
		ids[operation.OperationID] = name
		for _, status := range []int{400, 429, 500} {
			if operation.Responses.Status(status) == nil {
				t.Errorf("%s does not say what it answers with %d", name, status)
			}
		}
		for status, response := range operation.Responses.Map() {
			if _, has := response.Value.Headers["X-Request-Id"]; !has {
				t.Errorf("%s: %s lacks X-Request-Id", name, status)
			}
		}
	}
}

// YAML 1.2, which OpenAPI recommends, knows no merge keys: generators take << for
// the name of a field.
func TestDescriptionHasNoMergeKeys(t *testing.T) {
	var document yaml.Node
	if err := yaml.Unmarshal(description(t), &document); err != nil {
		t.Fatal(err)
	}
	var check func(*yaml.Node)
	check = func(node *yaml.Node) {
		if node.Tag == "!!merge" || node.Value == "<<" {
			t.Errorf("openapi.yaml:%d: write the members out, or use allOf, instead of the merge key <<", node.Line)
		}
		for _, child := range node.Content {
			check(child)
		}
	}
	check(&document)
}

func TestEveryValueIsBounded(t *testing.T) {
	seen := map[*openapi3.Schema]bool{}
	var check func(name string, ref *openapi3.SchemaRef)
	check = func(name string, ref *openapi3.SchemaRef) {
		schema := ref.Value
		if seen[schema] {
			return
		}
		seen[schema] = true
		switch {
		case schema.Type.Is("string") && len(schema.Enum) == 0 && schema.MaxLength == nil:
			t.Errorf("%s: a string without maxLength", name)
		case schema.Type.Is("array") && schema.MaxItems == nil:
			t.Errorf("%s: an array without maxItems", name)
		case schema.Type.Is("integer") && schema.Min == nil:
			t.Errorf("%s: an integer without minimum", name)
		case schema.Type.Is("object") && len(schema.Properties) == 0 && schema.MaxProps == nil:
			t.Errorf("%s: a free object without maxProperties", name)
		}
		for property, ref := range schema.Properties {
			check(name+"."+property, ref)
		}
		if schema.Items != nil {
			check(name+"[]", schema.Items)
		}
	}
	spec := mustLoadSpec(t)
	for name, ref := range spec.document.Components.Schemas {
		check(name, ref)
	}
	for key, o := range spec.operations {
		for _, ref := range append(o.route.PathItem.Parameters, o.route.Operation.Parameters...) {
			check(key.pattern+" "+ref.Value.Name, ref.Value.Schema)
		}
		if o.body != nil && !o.body.form && (o.body.schema.AdditionalProperties.Has == nil || *o.body.schema.AdditionalProperties.Has) {
			t.Errorf("%s %s takes unknown fields", key.method, key.pattern)
		}
	}
}

func TestScopesOfPolicyAndDescriptionAgree(t *testing.T) {
	data, err := os.ReadFile("../policy/scopes.json")
	if err != nil {
		t.Fatal(err)
	}
	var policy map[string]struct{ Scopes []string }
	if err := json.Unmarshal(data, &policy); err != nil {
		t.Fatal(err)
	}
	described := map[string][]string{}
	for path, item := range mustLoadSpec(t).document.Paths.Map() {
		for method, operation := range item.Operations() {
			if operation.Security == nil {
				t.Errorf("%s %s does not say who may call it", method, path)
				continue
			}
			for _, requirement := range *operation.Security {
				if scopes := requirement["oauth2"]; len(scopes) > 0 && !strings.HasPrefix(path, "/api/v1/token") {
					described[method+" "+path] = scopes
				}
			}
		}
	}
	wanted := map[string][]string{}
	for endpoint, rule := range policy {
		if len(rule.Scopes) > 0 { // else any token will do
			wanted[endpoint] = rule.Scopes
		}
	}
	if diff := cmp.Diff(wanted, described); diff != "" {
		t.Errorf("policy/scopes.json (-) and openapi.yaml (+) differ:\n%s", diff)
	}
}

func TestRoutesAndDescriptionAreCompared(t *testing.T) {
	spec := mustLoadSpec(t)
	var seen answered
	routes := specEngine(t, spec, &seen).Routes()
	if extra, missing := spec.Undescribed(routes), spec.Unserved(routes); len(extra)+len(missing) > 0 {
		t.Fatalf("undescribed %v, unserved %v; want none", extra, missing)
	}
	routes = append(routes[1:len(routes):len(routes)], gin.RouteInfo{Method: "GET", Path: "/secret"})
	if extra := spec.Undescribed(routes); !cmp.Equal(extra, []string{"GET /secret"}) {
		t.Errorf("undescribed: got %v", extra)
	}
	if missing := spec.Unserved(routes); len(missing) != 1 {
		t.Errorf("unserved: got %v, want one", missing)
	}
}
