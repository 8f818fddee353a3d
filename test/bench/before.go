package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/wait"
)

// rival is one of two servers that are measured in turns: a program on a ledger
// of its own.
type rival struct {
	name    string
	program string
	at      ledgerAt
}

// rivalTurns is of how many turns each figure is the median.
const rivalTurns = 5

// before measures this program beside an earlier one that -before names.
func (b *bench) before(ctx context.Context) error {
	if b.beforeProgram == "" {
		b.say("no -before PROGRAM to measure beside, so nothing is")
		return nil
	}
	now := rival{name: "now", program: b.program}
	before := rival{name: "before", program: b.beforeProgram}
	for _, r := range []*rival{&now, &before} {
		var err error
		if r.at, err = b.migrated(ctx, "agentidp_rival_"+r.name); err != nil {
			return err
		}
	}
	if err := b.compare(ctx, now, before); err != nil {
		return err
	}
	if err := b.compareIdle(ctx, now, before); err != nil {
		return err
	}
	return b.compareCatchUp(ctx, now, before)
}

// grown measures this program on a ledger with many events beside itself on one
// that has next to none.
func (b *bench) grown(ctx context.Context) error {
	empty := rival{name: "empty ledger", program: b.program}
	large := rival{name: fmt.Sprintf("%s events", thousands(float64(b.events))), program: b.program}
	var err error
	if empty.at, err = b.migrated(ctx, "agentidp_rival_empty"); err != nil {
		return err
	}
	l, err := b.openLedger(ctx, largeLedger)
	if err != nil {
		return err
	}
	large.at = l.at
	err = b.fill(ctx, l, b.events)
	l.close()
	if err != nil {
		return err
	}
	s, err := b.startRival(ctx, large, config.AlgES256)
	if err != nil {
		return err
	}
	if err := errors.Join(b.awaitProjections(ctx, large.at), s.stop()); err != nil {
		return err
	}
	return b.compare(ctx, large, empty)
}

// compare measures requests of every kind.
func (b *bench) compare(ctx context.Context, one, other rival) error {
	tokens := func(t *tenant) ([][]byte, error) { return t.requests(clients, agents, t.tokenRequest), nil }
	reads := func(t *tenant) ([][]byte, error) { return t.requests(clients, agents, t.getRequest), nil }
	for _, m := range []struct {
		alg      string
		settings []string
		loads    []rivalLoad
	}{
		{config.AlgES256, nil, []rivalLoad{
			{"token ES256, 64 clients", tokenAnswer, tokens},
			{"token exchange ES256, 64 clients", `"issued_token_type"`, func(t *tenant) ([][]byte, error) { return t.exchanges(ctx) }},
			{"introspection, 64 clients", `"active":true`, func(t *tenant) ([][]byte, error) {
				return t.requests(clients, agents, t.introspectRequest), nil
			}},
			{"GET agent, limits off, 64 clients", `"status":"active"`, reads},
		}},
		{config.AlgES256, counting, []rivalLoad{{"GET agent, limits on, 64 clients", `"status":"active"`, reads}}},
		{config.AlgRS256, nil, []rivalLoad{{"token RS256, 64 clients", tokenAnswer, tokens}}},
	} {
		if err := b.comparePair(ctx, [2]rival{one, other}, m.alg, m.settings, m.loads); err != nil {
			return err
		}
	}
	return nil
}

type rivalLoad struct {
	name, contains string
	requests       func(*tenant) ([][]byte, error)
}

func (b *bench) comparePair(ctx context.Context, pair [2]rival, alg string, settings []string, loads []rivalLoad) (err error) {
	var servers [2]*node
	var tenants [2]*tenant
	for i, r := range pair {
		if servers[i], err = b.startRival(ctx, r, alg, settings...); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, servers[i].stop()) }()
		if tenants[i], err = b.newTenant(ctx, servers[i], r.at); err != nil {
			return err
		}
	}
	for _, l := range loads {
		var rates [2][]float64
		for turn := range rivalTurns {
			for i := range pair {
				i = (i + turn) % len(pair)
				requests, err := l.requests(tenants[i])
				if err != nil {
					return fmt.Errorf("%s, %s: %w", l.name, pair[i].name, err)
				}
				m, err := b.send(ctx, load{address: servers[i].address, requests: requests, contains: l.contains}, b.warmUp/2, b.duration/2)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", l.name, pair[i].name, err)
				}
				rates[i] = append(rates[i], summarize(m).rate)
			}
		}
		b.addRivals(l.name, "/s", pair, rates)
	}
	return nil
}

// addRivals adds the medians of both.
func (b *bench) addRivals(name, unit string, pair [2]rival, figures [2][]float64) {
	for i := range figures {
		slices.Sort(figures[i])
	}
	b.add(row{Name: name + ", " + pair[0].name, Value: figures[0][len(figures[0])/2], Unit: unit,
		Baseline: pair[1].name, Beside: figures[1][len(figures[1])/2]})
}

// startRival starts its program on its ledger.
func (b *bench) startRival(ctx context.Context, r rival, alg string, settings ...string) (*node, error) {
	return b.start(ctx, r.at, alg, settings, r.program, "serve")
}

// compareIdle measures what a server takes that does nothing but keep up with
// what another one on its ledger issues.
func (b *bench) compareIdle(ctx context.Context, one, other rival) error {
	pair := [2]rival{one, other}
	var figures [2][]float64
	for turn := range rivalTurns {
		for i := range pair {
			i = (i + turn) % len(pair)
			cost, err := b.idle(ctx, pair[i])
			if err != nil {
				return err
			}
			figures[i] = append(figures[i], cost)
		}
	}
	b.addRivals("CPU of a server that only keeps up", "µs/token", pair, figures)
	return nil
}

// idle is the CPU time, in microseconds, that a server takes for each token that
// another one issues. The one that starts first keeps the read models.
func (b *bench) idle(ctx context.Context, r rival) (cost float64, err error) {
	var servers [2]*node
	for i := range servers {
		if servers[i], err = b.startRival(ctx, r, config.AlgES256); err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, servers[i].stop()) }()
	}
	t, err := b.newTenant(ctx, servers[1], r.at)
	if err != nil {
		return 0, err
	}
	if err := b.awaitProjections(ctx, r.at); err != nil {
		return 0, err
	}
	const few = 8 // clients: the machine is not to be full
	before, err := servers[0].cpuTime()
	if err != nil {
		return 0, err
	}
	m, err := b.send(ctx, b.tokenLoad(servers[1], t, few, agents), 0, b.duration)
	if err != nil {
		return 0, err
	}
	const settled = 500 * time.Millisecond // until it has kept up
	_ = wait.For(ctx, settled)
	after, err := servers[0].cpuTime()
	return float64((after - before).Microseconds()) / float64(len(m.took)), err
}

// cpuTime is what the process has used so far, as Linux counts it.
func (s *node) cpuTime() (time.Duration, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "stat"))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(text), ") ") // the name may hold anything
	const user, system, tick = 11, 12, 10 * time.Millisecond
	fields := strings.Fields(after)
	if len(fields) <= system {
		return 0, fmt.Errorf("/proc/…/stat reads %q", text)
	}
	var ticks int64
	for _, field := range []string{fields[user], fields[system]} {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// compareCatchUp measures how fast a server makes its read models that begins
// with none, on ledgers of the same issuances.
func (b *bench) compareCatchUp(ctx context.Context, one, other rival) error {
	const most = 200_000
	pair := [2]rival{one, other}
	var figures [2][]float64
	events := min(b.events, most)
	for turn := range rivalTurns {
		for i := range pair {
			i = (i + turn) % len(pair)
			rate, err := b.catchUp(ctx, pair[i], fmt.Sprintf("agentidp_rival_%d_%d", turn, i), events)
			if err != nil {
				return err
			}
			figures[i] = append(figures[i], rate)
		}
	}
	b.addRivals("live read models from the beginning", "events/s", pair, figures)
	return nil
}

func (b *bench) catchUp(ctx context.Context, r rival, database string, events int) (rate float64, err error) {
	l, err := b.openLedger(ctx, database)
	if err != nil {
		return 0, err
	}
	r.at = l.at
	err = b.fill(ctx, l, events)
	l.close()
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	s, err := b.startRival(ctx, r, config.AlgES256)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := b.awaitProjections(ctx, r.at); err != nil {
		return 0, err
	}
	return float64(events) / time.Since(begin).Seconds(), nil
}
