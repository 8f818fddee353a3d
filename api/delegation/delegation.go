// Package delegation is the room of what agents lend each other. Start with
// [Handler.Routes].
package delegation

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// Handler answers what is asked about delegations.
type Handler struct {
	Ledger      *ledger.Ledger
	Queries     *readmodels.Queries
	Revocations *revocation.Index
	Keys        *keyring.Keyring // of the delegation tokens
	Guard       *access.Guard
	Counters    *Counters
	Now         func() time.Time
}

const listPath = "/api/v1/delegations"

// Routes are those of delegations.
func (h *Handler) Routes() []router.Route {
	routes := []router.Route{
		{Method: http.MethodGet, Path: listPath, Read: router.AtPosition, Handler: h.listDelegations},
		{Method: http.MethodGet, Path: "/api/v1/delegation", Access: router.Open, Handler: toList},
	}
	for _, base := range []string{"/oauth2/token", "/api/v1/oauth2/token"} {
		routes = append(routes,
			router.Route{Method: http.MethodPost, Path: base + "/delegate", Repeat: router.OnceSecret, Handler: h.createDelegation},
			router.Route{Method: http.MethodDelete, Path: base + "/delegate/{chainId}", Handler: h.revokeDelegation},
			router.Route{Method: http.MethodPost, Path: base + "/verify-delegation", Handler: h.verifyDelegation},
		)
	}
	return routes
}

// Counters count what becomes of delegations.
type Counters struct {
	created, verified, revoked prometheus.Counter
}

// NewCounters are shown at 0 from the beginning.
func NewCounters(registry prometheus.Registerer) *Counters {
	counter := func(what, help string) prometheus.Counter {
		counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "agentidp_delegations_" + what + "_total", Help: help})
		registry.MustRegister(counter)
		return counter
	}
	return &Counters{
		created:  counter("created", "Delegations made."),
		verified: counter("verified", "Delegation tokens verified on request, whatever the answer."),
		revoked:  counter("revoked", "Delegations revoked."),
	}
}

// Revoked counts one that was revoked, by whatever way.
func (c *Counters) Revoked() { c.revoked.Inc() }
