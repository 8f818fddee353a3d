package system_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sentryagent/agentidp/internal/rounds"
)

// What one process has revoked, another refuses from the answer on: the old
// secret gets nothing and what was issued for it opens nothing. Clients of the
// second process keep asking all the while, so that whatever it may remember
// is fresh.
func TestRevokedOnOneProcessIsDeadOnAnother(t *testing.T) {
	t.Parallel()
	onEachEngine(t, revokedOnOneIsDeadOnAnother)
}

func revokedOnOneIsDeadOnAnother(t *testing.T, w *world) {
	a, b := w.serve(t), w.serve(t)
	owner := a.tenant(t, w)
	ctx := within(t, 2*patience)
	own := "/api/v1/agents/" + owner.agent
	for round := range w.fewer(rounds.Of(200)) {
		old := owner.secret
		token := b.mustToken(t, owner.agent, old, "")
		b.must(t, http.StatusOK, http.MethodGet, own, token, nil)

		load := askUntilRefused(ctx, b.client, owner.agent, old)
		rotated := a.must(t, http.StatusOK, http.MethodPost, own+"/credentials/"+owner.credential+"/rotate", owner.operatorToken, map[string]any{})
		load.revoked.Store(true)
		if r, err := b.token(ctx, owner.agent, old, ""); err != nil || r.status != http.StatusUnauthorized {
			t.Fatalf("round %d: the old secret on the other process got %v, %v; want 401", round, r, err)
		}
		b.must(t, http.StatusUnauthorized, http.MethodGet, own, token, nil)
		if err := load.end(); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for _, token := range load.last {
			if token != "" {
				b.must(t, http.StatusUnauthorized, http.MethodGet, own, token, nil)
			}
		}
		owner.secret = rotated.text("clientSecret")
	}
	w.mustHoldInLedger(t, nil)
}

// revokedLoad is clients that ask with a secret until it is refused.
type revokedLoad struct {
	revoked atomic.Bool // the revocation has been answered
	clients sync.WaitGroup
	last    []string // the token that each got last
	errs    []error
}

func askUntilRefused(ctx context.Context, c *client, id, secret string) *revokedLoad {
	const clients = 3
	l := &revokedLoad{last: make([]string, clients), errs: make([]error, clients)}
	for i := range clients {
		l.clients.Go(func() {
			for {
				tooLate := l.revoked.Load() // before the request is sent
				r, err := c.token(ctx, id, secret, "")
				switch {
				case err != nil:
					l.errs[i] = err
				case r.status == http.StatusOK && !tooLate:
					l.last[i] = r.text("access_token")
					continue
				case r.status != http.StatusUnauthorized:
					l.errs[i] = fmt.Errorf("after the revocation was answered (%t) a client got %v", tooLate, r)
				}
				return
			}
		})
	}
	return l
}

func (l *revokedLoad) end() error {
	l.clients.Wait()
	for _, err := range l.errs {
		if err != nil {
			return err
		}
	}
	return nil
}
