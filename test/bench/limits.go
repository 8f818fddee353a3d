package main

import (
	"context"

	"github.com/sentryagent/agentidp/internal/config"
)

// counting turns rate limits and tiers on.
var counting = []string{
	"RATE_LIMIT_MAX_REQUESTS=10000", "RATE_LIMIT_WINDOW_MS=1000", // more than any one agent asks for
	"TIER_ENFORCEMENT=true",
}

// limits measures what counting costs: an authorized read with rate limits and
// tiers on, beside the same with both off. With as many clients as there are
// in a closed loop, latency is the inverse of the rate.
func (b *bench) limits(ctx context.Context) error {
	const atMost = 1.15 // times the latency without
	return b.withServer(ctx, config.AlgES256, func(off *node, without *tenant) error {
		return b.withServer(ctx, config.AlgES256, func(on *node, with *tenant) error {
			get := func(s *node, t *tenant) load {
				return load{address: s.address, requests: t.requests(clients, agents, t.getRequest), contains: `"status":"active"`}
			}
			got, beside, err := b.profiled(ctx, on, "limits", get(on, with), func() (float64, error) {
				const part = 3
				m, err := b.send(ctx, get(off, without), b.warmUp/part, b.duration/part)
				return summarize(m).rate, err
			})
			if err != nil {
				return err
			}
			b.addHTTP("GET agent, limits on, 64 clients", got, "limits off", beside, &target{Ratio: 1 / atMost})
			return nil
		}, counting...)
	})
}
