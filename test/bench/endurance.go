package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/internal/config"
)

// enduring issues very many tokens by one server and measures what it holds in
// memory, early and at the end, and how soon the next server has its first token.
func (b *bench) enduring(ctx context.Context) error {
	at, err := b.migrated(ctx, "agentidp_endurance")
	if err != nil {
		return err
	}
	s, err := b.startServer(ctx, at, config.AlgES256)
	if err != nil {
		return err
	}
	t, err := b.newTenant(ctx, s, at)
	if err != nil {
		return errors.Join(err, s.stop())
	}
	early, late, err := b.issueAndWatch(ctx, s, t)
	if err = errors.Join(err, b.awaitProjections(ctx, at), s.stop()); err != nil {
		return err
	}
	const mostMemory, mostGrowth = 150, 1.05
	after := fmt.Sprintf("resident memory after %s tokens", thousands(float64(b.events)))
	b.add(row{Name: after, Value: late, Unit: "MiB", Baseline: "after a fifth of them", Beside: early,
		Target: &target{Under: mostMemory, Most: mostGrowth}})
	begin := time.Now()
	if s, err = b.startServer(ctx, at, config.AlgES256); err != nil {
		return err
	}
	t.base = "http://" + s.address
	_, err = b.send(ctx, load{address: s.address, requests: t.requests(1, 1, t.tokenRequest), contains: tokenAnswer}, 0, time.Millisecond)
	took := time.Since(begin)
	if err = errors.Join(err, s.stop()); err != nil {
		return err
	}
	b.add(row{Name: "  start of a server on that ledger until its first token", Value: milliseconds(took), Unit: "ms", Target: &target{Under: 1000}})
	return nil
}

// issueAndWatch has a server issue as many tokens as a large ledger has events;
// it gives the resident memory in MiB after a fifth and after all.
func (b *bench) issueAndWatch(ctx context.Context, s *node, t *tenant) (early, late float64, err error) {
	const stretch = 10 * time.Second
	for issued := 0; issued < b.events; {
		m, err := b.send(ctx, b.tokenLoad(s, t, clients, agents), 0, stretch)
		if err != nil {
			return 0, 0, err
		}
		issued += len(m.took)
		late = residentMemory(s.cmd.Process.Pid) / mebibyte
		const fifth = 5
		if early == 0 && issued >= b.events/fifth {
			early = late
		}
		b.say(fmt.Sprintf("%s tokens, %.0f MiB", thousands(float64(issued)), late))
	}
	return early, late, nil
}
