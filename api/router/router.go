package router

import (
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/domain"
)

// Options are what a [Router] works by.
type Options struct {
	CORSOrigins    []string
	TrustedProxies []netip.Prefix // whose X-Forwarded-For counts
	HSTS           bool
	Now            func() time.Time
	Logger         *slog.Logger
	Registry       prometheus.Registerer
	// Refusing is called with the error that a request is about to be refused
	// with, and gives the one to refuse it with.
	Refusing func(*gin.Context, error) error
}

// Router answers HTTP by the routes that were added. Add all of them before it
// serves; then it is safe for concurrent use.
type Router struct {
	options Options
	steps   Steps
	engine  *gin.Engine
	metrics *metrics
	schema  schemaFault
	aliases map[string]string
	open    []string // patterns of the routes that are for pages of any origin

	proxyWarning sync.Once
	draining     atomic.Bool // see Drain
}

// New makes a router without routes.
func New(options Options, steps Steps) *Router {
	gin.SetMode(gin.ReleaseMode)
	r := &Router{
		options: options, steps: steps, engine: gin.New(), metrics: newMetrics(options.Registry), aliases: map[string]string{},
	}
	r.engine.HandleMethodNotAllowed = true
	r.engine.RedirectTrailingSlash = false
	r.engine.ContextWithFallback = true
	r.engine.ForwardedByClientIP = false // Address is the judge of addresses
	r.engine.Use(r.begin, r.leaving, r.observed, r.warnOfProxy, r.withSecurityHeaders, r.cors)
	r.engine.NoRoute(func(c *gin.Context) { r.fail(c, ErrNothingHere) })
	r.engine.NoMethod(func(c *gin.Context) { // gin has set Allow
		r.fail(c, domain.Refuse(CodeMethodNotAllowed, "this path does not know the method %s", c.Request.Method))
	})
	return r
}

// Add serves routes. It fails when a row asks for what there is not.
func (r *Router) Add(routes ...Route) error {
	for _, route := range routes {
		chain, err := r.chain(route)
		if err != nil {
			return err
		}
		r.engine.Handle(route.Method, Pattern(route.Path), chain...)
		if route.AnyOrigin {
			r.open = append(r.open, Pattern(route.Path))
		}
	}
	return nil
}

// Alias answers further paths as if the paths that they stand for had been asked for.
func (r *Router) Alias(aliases map[string]string) { maps.Copy(r.aliases, aliases) }

// Routes lists what is served.
func (r *Router) Routes() gin.RoutesInfo { return r.engine.Routes() }

// Drain has answers ask clients to come back by another connection: this server is
// about to stop. Requests are answered as before.
func (r *Router) Drain() { r.draining.Store(true) }

// Draining reports whether [Router.Drain] was called.
func (r *Router) Draining() bool { return r.draining.Load() }

// ServeHTTP implements [http.Handler]. HEAD is answered as GET is, and net/http
// leaves the body out (RFC 9110 section 9.3.2).
func (r *Router) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if request.Method == http.MethodHead {
		request = request.WithContext(request.Context()) // a copy: net/http still has to know
		request.Method = http.MethodGet
	}
	if path, isAlias := r.aliases[request.URL.Path]; isAlias {
		to := *request.URL
		to.Path, to.RawPath = path, ""
		request = request.WithContext(request.Context())
		request.URL = &to
	}
	r.engine.ServeHTTP(w, request)
}
