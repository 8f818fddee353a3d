package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
	"github.com/sentryagent/agentidp/internal/config"
	agentidp "github.com/sentryagent/agentidp/sdk/go"
)

// cold measures how long the first token takes that a server issues after its
// start, to an agent with a very long stream beside one that has had ten
// tokens; and how long loading their aggregates takes of that.
func (b *bench) cold(ctx context.Context) error {
	at, err := b.migrated(ctx, "agentidp_cold")
	if err != nil {
		return err
	}
	if err := b.coldOn(ctx, at, "PostgreSQL", b.events); err != nil {
		return err
	}
	if at, err = b.migrated(ctx, "agentidp_cold_esdb"); err != nil {
		return err
	}
	cluster, err := wiretest.New(1)
	if err != nil {
		return err
	}
	defer cluster.Close()
	at.esdbURL = cluster.URL()
	return b.coldOn(ctx, at, "EventStoreDB", min(b.events, mostInMemory))
}

// mostInMemory is how many events the EventStoreDB of the tests is given, which
// keeps them in the memory of this process.
const mostInMemory = 200_000

// coldOn measures on one engine.
func (b *bench) coldOn(ctx context.Context, at ledgerAt, engine string, events int) error {
	long, short, err := b.coldAgents(ctx, at, events)
	if err != nil {
		return err
	}
	rounds := 16
	if b.quick {
		rounds = 8
	}
	var starts []time.Duration
	tokens, err := alternate(rounds, func(a agent) (time.Duration, error) {
		started, took, err := b.firstToken(ctx, at, a)
		starts = append(starts, started)
		return took, err
	}, long, short)
	if err != nil {
		return err
	}
	name := func(what string) string {
		return fmt.Sprintf("%s, %s, agent with %s events", what, engine, thousands(float64(events)))
	}
	b.add(row{Name: name("first token after a start"), Value: tokens[0], Unit: "ms",
		Baseline: "one with ten tokens", Beside: tokens[1], Target: &target{Most: 2}})
	l, err := b.openCold(ctx, at)
	if err != nil {
		return err
	}
	defer l.Close()
	const loads = 40
	loaded, err := alternate(loads, func(a agent) (time.Duration, error) { return l.load(ctx, a) }, long, short)
	if err != nil {
		return err
	}
	b.add(row{Name: "  " + name("loading its state alone"), Value: loaded[0], Unit: "ms", Baseline: "one with ten tokens", Beside: loaded[1]})
	b.add(row{Name: "  the server's start until it answers", Value: median(starts), Unit: "ms"})
	return nil
}

// coldAgents makes two agents through the API, and gives the one a stream of so
// many events, the other ten tokens.
func (b *bench) coldAgents(ctx context.Context, at ledgerAt, events int) (long, short agent, err error) {
	s, err := b.startServer(ctx, at, config.AlgES256)
	if err != nil {
		return long, short, err
	}
	t, err := b.newTenant(ctx, s, at)
	if err = errors.Join(err, s.stop()); err != nil {
		return long, short, err
	}
	long, short = t.agents[0], t.agents[1]
	l, err := b.openCold(ctx, at)
	if err != nil {
		return long, short, err
	}
	defer l.Close()
	b.say(fmt.Sprintf("issuing %s tokens to one agent", thousands(float64(events))))
	if err := l.issueUpTo(ctx, long, events); err != nil {
		return long, short, err
	}
	const few = 10
	if err := l.issue(ctx, short, few, 1); err != nil {
		return long, short, err
	}
	head, err := l.Store.Head(ctx)
	if err != nil {
		return long, short, err
	}
	// The read models catch up now, and the jobs run that are due, not while
	// something is being measured.
	if s, err = b.startServer(ctx, at, config.AlgES256); err != nil {
		return long, short, err
	}
	return long, short, errors.Join(b.awaitQuiet(ctx, at, head), s.stop())
}

// alternate takes the time of something for two agents, round by round, the one
// first and then the other; it gives the medians in milliseconds.
func alternate(rounds int, measure func(agent) (time.Duration, error), agents ...agent) (medians []float64, err error) {
	took := make([][]time.Duration, len(agents))
	for round := range rounds {
		for i := range agents {
			i = (i + round) % len(agents)
			d, err := measure(agents[i])
			if err != nil {
				return nil, err
			}
			took[i] = append(took[i], d)
		}
	}
	for i := range took {
		medians = append(medians, median(took[i]))
	}
	return medians, nil
}

// median is in milliseconds.
func median(took []time.Duration) float64 {
	slices.Sort(took)
	return milliseconds(took[len(took)/2])
}

// firstToken starts a server, which takes a while, and has it issue one token.
func (b *bench) firstToken(ctx context.Context, at ledgerAt, a agent) (started, took time.Duration, err error) {
	begin := time.Now()
	s, err := b.startServer(ctx, at, config.AlgES256)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	started = time.Since(begin)
	there := tenant{}
	if there.api, err = agentidp.New("http://"+s.address, http.DefaultClient); err != nil {
		return 0, 0, err
	}
	begin = time.Now()
	_, err = there.token(ctx, a.id, a.secret, "")
	return started, time.Since(begin), err
}
