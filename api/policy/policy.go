// Package policy decides which endpoints a verified token may call. The rules
// are Rego (authz.rego) over a table of endpoints and scopes (scopes.json);
// both are embedded and can be overridden by a directory.
package policy

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"github.com/sentryagent/agentidp/domain"
)

//go:embed authz.rego scopes.json
var embedded embed.FS

const (
	rulesFile     = "authz.rego"
	endpointsFile = "scopes.json"
	query         = `allow = data.agentidp.authz.allow; missing = data.agentidp.authz.missing`
	cacheSize     = 4096
)

// Policy decides. It is safe for concurrent use.
type Policy struct {
	prepared  rego.PreparedEvalQuery
	endpoints map[string]json.RawMessage
	decisions *lru.Cache[cacheKey, Decision]
}

// Request is a call to decide on.
type Request struct {
	Endpoint  string // method, space, path with {parameters} as in the OpenAPI document
	Scopes    domain.Scopes
	Relations []string // "self", "member"; see authz.rego
}

// Decision is the answer. Missing names the scopes that would have been needed.
type Decision struct {
	Allow   bool
	Missing domain.Scopes
}

type cacheKey struct{ endpoint, scopes, relations string }

// Load compiles the policy: the files of dir where it has them, the embedded
// ones otherwise. An empty dir means the embedded ones.
func Load(ctx context.Context, dir string) (*Policy, error) {
	rules, err := read(dir, rulesFile)
	if err != nil {
		return nil, err
	}
	table, err := read(dir, endpointsFile)
	if err != nil {
		return nil, err
	}
	var endpoints map[string]json.RawMessage
	if err := json.Unmarshal(table, &endpoints); err != nil {
		return nil, fmt.Errorf("policy %s: %w", endpointsFile, err)
	}
	var data map[string]any
	if err := json.Unmarshal([]byte(`{"endpoints":`+string(table)+`}`), &data); err != nil {
		return nil, fmt.Errorf("policy %s: %w", endpointsFile, err)
	}
	prepared, err := rego.New(
		rego.Query(query),
		rego.Module(rulesFile, string(rules)),
		rego.Store(inmem.NewFromObject(data)),
	).PrepareForEval(ctx)
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", rulesFile, err)
	}
	decisions, err := lru.New[cacheKey, Decision](cacheSize)
	if err != nil {
		return nil, err
	}
	return &Policy{prepared: prepared, endpoints: endpoints, decisions: decisions}, nil
}

func read(dir, name string) ([]byte, error) {
	if dir == "" {
		return embedded.ReadFile(name)
	}
	text, err := fs.ReadFile(os.DirFS(dir), name)
	if errors.Is(err, fs.ErrNotExist) {
		return embedded.ReadFile(name)
	}
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	return text, nil
}

// Lists reports whether the table has the endpoint; those it has not are open
// to nobody.
func (p *Policy) Lists(endpoint string) bool {
	_, listed := p.endpoints[endpoint]
	return listed
}

// Decide answers, from memory where it has been asked the same before: a
// decision depends on nothing but the request. An error means no.
func (p *Policy) Decide(ctx context.Context, request Request) (Decision, error) {
	key := cacheKey{endpoint: request.Endpoint, scopes: request.Scopes.String(), relations: strings.Join(request.Relations, " ")}
	if decision, known := p.decisions.Get(key); known {
		return decision, nil
	}
	decision, err := p.evaluate(ctx, request)
	if err == nil {
		p.decisions.Add(key, decision)
	}
	return decision, err
}

func (p *Policy) evaluate(ctx context.Context, request Request) (Decision, error) {
	input := map[string]any{
		"endpoint":  request.Endpoint,
		"scopes":    words(request.Scopes),
		"relations": words(request.Relations),
	}
	results, err := p.prepared.Eval(ctx, rego.EvalInput(input))
	if err != nil {
		return Decision{}, fmt.Errorf("evaluate policy: %w", err)
	}
	if len(results) != 1 {
		return Decision{}, fmt.Errorf("evaluate policy: %d results for %s", len(results), request.Endpoint)
	}
	bindings := results[0].Bindings
	allow, isBool := bindings["allow"].(bool)
	if !isBool {
		return Decision{}, fmt.Errorf("evaluate policy: allow is %T, not a boolean", bindings["allow"])
	}
	decision := Decision{Allow: allow}
	missing, _ := bindings["missing"].([]any)
	for _, scope := range missing {
		if s, isString := scope.(string); isString {
			decision.Missing = append(decision.Missing, domain.Scope(s))
		}
	}
	slices.Sort(decision.Missing)
	return decision, nil
}

func words[S ~string](list []S) []any {
	out := make([]any, len(list))
	for i, word := range list {
		out[i] = string(word)
	}
	return out
}
