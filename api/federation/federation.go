// Package federation is the room of partners: issuers of somebody else's whose tokens
// are verified here. Start with [Handler.Routes]. [Handler.verify] is the way of a
// partner's token; keys.go says which of a partner's keys count, and key_cache.go for
// how long.
package federation

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// Handler answers what is asked about partners and their tokens. Make one with [New].
type Handler struct {
	Ledger      *ledger.Ledger
	Queries     *readmodels.Queries
	Revocations *revocation.Index // knows how every partner stands
	Fetch       Fetch
	KeysTTL     time.Duration // how long keys are kept at most
	Ours        []string      // the names that this server goes by, which no partner may have
	Challenge   string        // of answers that refuse a token
	Events      *Events
	Now         func() time.Time

	keys *keyCache
}

// Fetch gets the body of a URL, guarded: see package outbound.
type Fetch func(ctx context.Context, url, accept string) ([]byte, error)

// New completes a handler that has its needs.
func New(h Handler) (*Handler, error) {
	var err error
	h.keys, err = newKeyCache(h.Fetch, h.KeysTTL, h.Now)
	return &h, err
}

// Routes are those of partners and of their tokens.
func (h *Handler) Routes() []router.Route {
	const partners, partner = "/api/v1/federation/partners", "/api/v1/federation/partners/{partnerId}"
	return []router.Route{
		{Method: http.MethodPost, Path: partners, Repeat: router.Once, Handler: h.registerPartner},
		{Method: http.MethodGet, Path: partners, Read: router.AtPosition, Handler: h.listPartners},
		{Method: http.MethodGet, Path: partner, Read: router.AtPosition, Handler: h.getPartner},
		{Method: http.MethodPatch, Path: partner, Handler: h.updatePartner},
		{Method: http.MethodDelete, Path: partner, Handler: h.deletePartner},
		{Method: http.MethodPost, Path: "/api/v1/federation/verify", Handler: h.verify},
	}
}

// Events counts what happens to partners and their tokens.
type Events struct{ total *prometheus.CounterVec }

// What becomes of a token, in [Events].
const (
	verifySucceeded   = "verify_succeeded"
	verifyRefused     = "verify_refused"
	verifyUnavailable = "verify_unavailable" // the partner's keys could not be had
)

// NewEvents are shown at 0 from the beginning.
func NewEvents(registry prometheus.Registerer) *Events {
	e := &Events{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "agentidp_federation_events_total", Help: "What happened to federation partners, and their tokens that were verified.",
	}, []string{"event_type"})}
	registry.MustRegister(e.total)
	for _, name := range domain.TypesChanging(domain.PartnerNoun) {
		e.total.WithLabelValues(labelOf(name))
	}
	for _, label := range []string{verifySucceeded, verifyRefused, verifyUnavailable} {
		e.total.WithLabelValues(label)
	}
	return e
}

// PartnerExpired counts one that was put on record outside of this room.
func (e *Events) PartnerExpired() { e.record(domain.PartnerExpired{}) }

func (e *Events) record(happened ...domain.Event) {
	for _, event := range happened {
		e.total.WithLabelValues(labelOf(event.EventType())).Inc()
	}
}

func labelOf(name domain.Type) string { return strings.TrimPrefix(string(name), "federation.") }
