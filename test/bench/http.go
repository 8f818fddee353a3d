package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/sentryagent/agentidp/internal/config"
)

const clients = 64

// tokenAnswer is in every answer with a token.
const tokenAnswer = `"access_token"`

func (b *bench) rs256(ctx context.Context) error {
	return b.withServer(ctx, config.AlgRS256, func(s *node, t *tenant) error {
		if err := b.tokens(ctx, s, t, config.AlgRS256, &target{Ratio: 0.6}); err != nil {
			return err
		}
		return b.reads(ctx, s, t, config.AlgRS256, "")
	})
}

func (b *bench) es256(ctx context.Context) error {
	return b.withServer(ctx, config.AlgES256, func(s *node, t *tenant) error {
		if err := b.tokens(ctx, s, t, config.AlgES256, &target{Ratio: 1.6, P95: 30}); err != nil {
			return err
		}
		return b.reads(ctx, s, t, config.AlgES256, "")
	})
}

func (b *bench) withServer(ctx context.Context, alg string, measured func(*node, *tenant) error, settings ...string) (err error) {
	s, err := b.startServer(ctx, b.ownLedger(), alg, settings...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	t, err := b.newTenant(ctx, s, b.ownLedger())
	if err != nil {
		return err
	}
	return measured(s, t)
}

// tokens measures issuance: by many clients for as many agents, by many for
// one agent, and by few.
func (b *bench) tokens(ctx context.Context, s *node, t *tenant, alg string, aim *target) error {
	manyAgents := b.tokenLoad(s, t, clients, agents)
	got, floor, err := b.profiled(ctx, s, "token-"+alg, manyAgents, b.bareRSA)
	if err != nil {
		return err
	}
	b.addHTTP(fmt.Sprintf("token %s, 64 clients, 64 agents", alg), got, bareRSA, floor, aim)

	got, beside, err := b.profiled(ctx, s, "token-"+alg+"-one-agent", b.tokenLoad(s, t, clients, 1), func() (float64, error) {
		const part = 4
		m, err := b.send(ctx, manyAgents, b.warmUp/part, b.duration/part)
		return summarize(m).rate, err
	})
	if err != nil {
		return err
	}
	b.addHTTP(fmt.Sprintf("token %s, 64 clients, one agent", alg), got, "64 agents", beside, &target{Ratio: 0.7})

	for _, few := range []int{10, 1} {
		m, err := b.send(ctx, b.tokenLoad(s, t, few, few), b.warmUp, b.duration)
		if err != nil {
			return err
		}
		b.addHTTP(fmt.Sprintf("token %s, clients: %d", alg, few), summarize(m), "", 0, nil)
	}
	return nil
}

func (b *bench) tokenLoad(s *node, t *tenant, clients, ofAgents int) load {
	return load{address: s.address, requests: t.requests(clients, ofAgents, t.tokenRequest), contains: tokenAnswer}
}

// reads measures what happens with a token afterwards, beside bare RSA and a
// server that answers with a constant. The agents' tokens are of the algorithm.
func (b *bench) reads(ctx context.Context, s *node, t *tenant, alg, suffix string) error {
	for _, read := range []struct {
		name, path, contains string
		request              func(agent) []byte
	}{
		{"introspection", "introspect", `"active":true`, t.introspectRequest},
		{"GET agent", "get-agent", `"status":"active"`, t.getRequest},
	} {
		l := load{address: s.address, requests: t.requests(clients, agents, read.request), contains: read.contains}
		name := fmt.Sprintf("%s (%s), 64 clients%s", read.name, alg, suffix)
		got, floor, err := b.profiled(ctx, s, read.path+"-"+alg, l, b.bareRSA)
		if err != nil {
			return err
		}
		b.addHTTP(name, got, bareRSA, floor, &target{Ratio: 2, P95: 20})
		if alg != config.AlgRS256 {
			continue
		}
		body, err := t.answer(ctx, read.path)
		if err != nil {
			return err
		}
		constant, err := b.besideConstant(ctx, l, body)
		if err != nil {
			return err
		}
		b.addHTTP("  the same of a constant by gin", constant, "the product", got.rate, nil)
	}
	return nil
}

// answer is what the product answers to a read, for its length.
func (t *tenant) answer(ctx context.Context, read string) ([]byte, error) {
	a := t.agents[0]
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.base+"/api/v1/agents/"+a.id, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+a.token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if read == "introspect" {
		const length = 450 // of an introspection, about
		body = body[:min(length, len(body))]
	}
	return body, err
}

func (b *bench) addHTTP(name string, s sample, baseline string, beside float64, aim *target) {
	b.add(row{Name: name, Value: s.rate, Unit: "/s", Latency: &s.latency, Client: s.client, Baseline: baseline, Beside: beside, Target: aim})
}
