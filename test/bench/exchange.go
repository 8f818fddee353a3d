package main

import (
	"context"
	"net/http"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/sentryagent/agentidp/internal/config"
	agentidp "github.com/sentryagent/agentidp/sdk/go"
)

// exchange measures token exchange: each agent acts for the one before it,
// beside the same agents asking for tokens of their own.
func (b *bench) exchange(ctx context.Context) error {
	return b.withServer(ctx, config.AlgES256, func(s *node, t *tenant) error {
		requests, err := t.exchanges(ctx)
		if err != nil {
			return err
		}
		got, beside, err := b.sendInTurns(ctx, load{address: s.address, requests: requests, contains: `"issued_token_type"`}, func() (float64, error) {
			const part = 3
			m, err := b.send(ctx, b.tokenLoad(s, t, clients, agents), b.warmUp/part, b.duration/part)
			return summarize(m).rate, err
		})
		if err != nil {
			return err
		}
		b.addHTTP("token exchange ES256, 64 clients", got, "client_credentials", beside, &target{Ratio: 0.7})
		return nil
	})
}

// exchanges lends each agent's scopes to the next and makes the requests by
// which those use them.
func (t *tenant) exchanges(ctx context.Context) ([][]byte, error) {
	const atOnce = 8
	requests := make([][]byte, len(t.agents))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, delegator := range t.agents {
		delegatee := t.agents[(i+1)%len(t.agents)]
		group.Go(func() error {
			to, err := uuid.Parse(delegatee.id)
			if err != nil {
				return err
			}
			lent, err := t.api.CreateDelegationWithResponse(ctx, nil, agentidp.DelegationCreate{
				DelegateeAgentID: to, Scopes: []agentidp.Scope{agentidp.ScopeAgentsRead}, TTLSeconds: 3600,
			}, agentidp.Bearer(delegator.token))
			if err := agentidp.Want(http.StatusCreated, lent, err); err != nil {
				return err
			}
			requests[i] = t.exchangeRequest(lent.JSON201.DelegationToken, delegatee)
			return nil
		})
	}
	return requests, group.Wait()
}

func (t *tenant) exchangeRequest(delegation string, actor agent) []byte {
	return postForm(t.base, "/oauth2/token", "",
		"grant_type=urn:ietf:params:oauth:grant-type:token-exchange"+
			"&subject_token="+delegation+"&subject_token_type=urn:sentryagent:params:oauth:token-type:delegation"+
			"&actor_token="+actor.token+"&actor_token_type=urn:ietf:params:oauth:token-type:access_token")
}
