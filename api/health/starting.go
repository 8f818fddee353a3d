package health

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/api/timestamp"
	"github.com/sentryagent/agentidp/ledger"
)

// Starting answers in place of a server that is still starting, which takes long
// where much of the ledger has to be read first: /health is 503 and tells how far it
// is, /health/live is 200, and everything else is 503.
type Starting struct {
	Version         string
	Database, Redis func(context.Context) error
	// EventStore is how the ledger's own server is reached; nil where it has none.
	EventStore func() EventStore
	// Progress is what is read now, up to where it has come and how far it goes; ""
	// for nothing of the kind. A position of 0 is none.
	Progress func() (what string, position, end ledger.Position)
}

// waitingToStart is what a server waits for that reads nothing.
const waitingToStart = "the ledger and the read models are looked at"

// ServeHTTP implements [http.Handler].
func (s Starting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	switch path := r.URL.Path; {
	case path == "/health/live":
		answerPlainly(w, http.StatusOK, gen.Liveness{Status: "alive"})
	case path == "/health" && r.Method == http.MethodGet:
		w.Header().Set("Retry-After", "1")
		answerPlainly(w, http.StatusServiceUnavailable, s.health(r.Context()))
	default:
		w.Header().Set("Retry-After", "1")
		answerPlainly(w, http.StatusServiceUnavailable, router.UnavailableBody(path, "this server is starting; /health tells how far it is"))
	}
}

func (s Starting) health(ctx context.Context) gen.Health {
	const patience = time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	state := gen.Health{Status: unhealthy, Version: s.Version, Starting: &gen.HealthStarting{WaitingFor: waitingToStart}}
	state.Checks.Projections = gen.ProjectionsHealth{Status: healthy, Halted: []gen.HaltedProjection{}}
	state.Checks.Database = probe(func() error { return s.Database(ctx) })
	state.Checks.Redis = probe(func() error { return s.Redis(ctx) })
	if s.EventStore != nil {
		store := s.EventStore()
		state.Checks.EventStore = &gen.EventStoreHealth{
			Status: degraded, Connection: gen.EventStoreHealthConnection(store.Connection), Since: timestamp.Of(store.Since), Failures: store.Failures,
		}
	}
	if what, position, end := s.Progress(); what != "" {
		state.Starting.WaitingFor = what
		if position > 0 {
			state.Starting.Position = new(int64(position))
		}
		if end > 0 {
			state.Starting.KnownEnd = new(int64(end))
		}
	}
	return state
}

func answerPlainly(w http.ResponseWriter, status int, body any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // whoever has hung up needs no answer
}
