package quota

import "github.com/prometheus/client_golang/prometheus"

// Scope is what was limited, as the metrics call it.
type Scope string

// What is limited.
const (
	Client         Scope = "client"
	IPAddress      Scope = "address"
	Authentication Scope = "authentication"
	Token          Scope = "token"
	Verification   Scope = "verification"
	Controls       Scope = "controls"
	Calls          Scope = "tier_calls"
	Tokens         Scope = "tier_tokens"
)

func newHits(registry prometheus.Registerer) *prometheus.CounterVec {
	hits := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "agentidp_rate_limit_hits_total", Help: "Requests refused because a limit was reached, by what was limited.",
	}, []string{"scope"})
	for _, scope := range []Scope{Client, IPAddress, Token, Authentication, Verification, Controls, Calls, Tokens} {
		hits.WithLabelValues(string(scope)) // so that each is seen at 0
	}
	registry.MustRegister(hits)
	return hits
}
