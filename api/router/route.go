package router

import (
	"fmt"
	"strings"

	"github.com/gin-gonic/gin"
)

// Handler answers a request, or says why not: the router answers errors.
type Handler func(*gin.Context) error

// Step comes before a handler. An error ends the request.
type Step func(*gin.Context) error

// Route is one operation of the OpenAPI document.
type Route struct {
	Method string
	Path   string // as in the document, with {parameters}
	Access Access
	Limit  Limit
	Read   Read
	Repeat Repeat
	Cache  string // Cache-Control of answers that are no errors; "" for what the path says
	// AnyOrigin lets pages of every origin read the answers: nothing in them depends
	// on who asks.
	AnyOrigin bool
	Handler   Handler
}

// Endpoint names a route as the policy does: "GET /api/v1/agents/{agentId}".
func (r Route) Endpoint() string { return r.Method + " " + r.Path }

// Access says who may call.
type Access int

const (
	// Bearer: whoever has a token that the policy lets in. The request counts as
	// one of its client's.
	Bearer Access = iota
	// Open: everybody, or whoever the handler itself authenticates.
	Open
)

// Limit is what is counted besides, or instead where the route is open.
type Limit int

const (
	NoLimit       Limit = iota
	Verifications       // of the client and its organization: each reads much of the ledger
	States              // of the client: a read of history
	Controls            // of the address: the compliance controls
	LogReads            // of the address: the public log
	Documents           // of the address: DID documents and cards
)

// Read says what a read waits for.
type Read int

const (
	AsItIs     Read = iota
	AtPosition      // the place in the ledger that the caller names, if it names one
	AtHead          // that, and all that was in the ledger when the request came in
)

// Repeat says what an Idempotency-Key is good for.
type Repeat int

const (
	NotKept    Repeat = iota
	Once              // the answer is kept for callers with the same authority
	OnceSecret        // for the same credential: there is a secret in the answer
)

// Steps are what rows ask for.
type Steps struct {
	// Authenticate makes the first step of a Bearer route. It fails where nobody
	// could ever be let in.
	Authenticate func(endpoint string) (Step, error)
	Admit        Step // counts a request of the caller that has been authenticated
	Current      Step // refuses a Bearer route while the read models are being rebuilt
	Validate     Step // holds the request against the OpenAPI document
	Limits       map[Limit]Step
	Reads        map[Read]Step
	Repeats      map[Repeat]Step
}

// chain is who may call and how often, then what is well-formed, then what it
// does.
func (r *Router) chain(route Route) ([]gin.HandlerFunc, error) {
	var steps []Step
	if route.Access == Bearer {
		authenticate, err := r.steps.Authenticate(route.Endpoint())
		if err != nil {
			return nil, err
		}
		steps = append(steps, authenticate, r.steps.Admit, r.steps.Current)
	}
	steps = append(steps, r.steps.Validate)
	if route.Limit != NoLimit {
		steps = append(steps, r.steps.Limits[route.Limit])
	}
	if route.Read != AsItIs {
		steps = append(steps, r.steps.Reads[route.Read])
	}
	if route.Repeat != NotKept {
		steps = append(steps, r.steps.Repeats[route.Repeat])
	}
	chain := make([]gin.HandlerFunc, 0, len(steps)+1)
	for _, step := range steps {
		if step == nil {
			return nil, fmt.Errorf("%s asks for a step that is not there", route.Endpoint())
		}
		chain = append(chain, r.failing(step))
	}
	if route.Cache != "" {
		chain = append(chain, cached(route.Cache))
	}
	return append(chain, r.failing(Step(route.Handler))), nil
}

// failing answers the error of a step or a handler.
func (r *Router) failing(step Step) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := step(c); err != nil {
			r.fail(c, err)
		}
	}
}

// Pattern turns /agents/{agentId} into gin's /agents/:agentId.
func Pattern(path string) string {
	return strings.NewReplacer("{", ":", "}", "").Replace(path)
}
