package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/internal/wait"
)

// slowReaders is how many of one tenant read history at once.
const slowReaders = 500

// readers measures what the readers of history of one tenant cost the tokens of
// another, on both engines.
func (b *bench) readers(ctx context.Context) error {
	return b.onBothEngines(ctx, "agentidp_readers", func(e *engines) error {
		for _, engine := range []struct {
			name  string
			s     *node
			t     *tenant
			place ledgerAt
		}{{"PostgreSQL", e.postgres, e.postgress, e.atPostgres}, {"EventStoreDB", e.esdb, e.esdbs, e.atESDB}} {
			if err := b.besideReaders(ctx, engine.name, engine.s, engine.t, engine.place); err != nil {
				return fmt.Errorf("%s: %w", engine.name, err)
			}
		}
		return nil
	})
}

func (b *bench) besideReaders(ctx context.Context, engine string, s *node, quiet *tenant, at ledgerAt) error {
	greedy, err := b.newTenant(ctx, s, at, "audit:read")
	if err != nil {
		return err
	}
	if _, err := b.send(ctx, b.tokenLoad(s, greedy, clients, agents), 0, 2*b.duration); err != nil { // there is something to read
		return err
	}
	const few = 16 // so that latency is not the inverse of the rate alone
	load := b.tokenLoad(s, quiet, few, few)
	var alone, beside []sample
	var met meetings
	var memory float64
	for range stretches {
		m, err := b.send(ctx, load, b.warmUp/4, b.duration/2)
		if err != nil {
			return err
		}
		alone = append(alone, summarize(m))
		before := residentMemory(s.cmd.Process.Pid)
		reading, stop := context.WithCancel(ctx)
		var all sync.WaitGroup
		for i := range slowReaders {
			all.Go(func() { met.read(reading, greedy, i) })
		}
		m, err = b.send(ctx, load, b.warmUp/2, b.duration/2)
		memory = max(memory, residentMemory(s.cmd.Process.Pid)-before)
		stop()
		all.Wait()
		if err = errors.Join(err, met.wrong); err != nil {
			return err
		}
		beside = append(beside, summarize(m))
	}
	with, without := middle(beside), middle(alone)
	b.add(row{Name: fmt.Sprintf("token p99, %s, beside %d slow readers of another tenant", engine, slowReaders), Value: with.latency.P99, Unit: "ms",
		Latency: &with.latency, Baseline: "without them", Beside: without.latency.P99, Target: &target{Most: 2}})
	b.add(row{Name: "  its rate", Value: with.rate, Unit: "/s", Baseline: "without them", Beside: without.rate})
	b.add(row{Name: "  readers that were served", Value: float64(met.served), Unit: "", Baseline: "told to come again", Beside: float64(met.refused)})
	b.add(row{Name: "  the longest until one was told", Value: milliseconds(met.longest), Unit: "ms"})
	b.add(row{Name: "  more memory of the server", Value: memory / mebibyte, Unit: "MiB", Target: &target{Under: 50}})
	return nil
}

// meetings are what became of the requests of readers.
type meetings struct {
	mu              sync.Mutex // guards what follows
	served, refused int
	longest         time.Duration // until a reader was refused
	wrong           error
}

func (m *meetings) met(status int, took time.Duration, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err != nil:
		m.wrong = err
	case status == http.StatusOK:
		m.served++
	default:
		m.refused++
		m.longest = max(m.longest, took)
	}
}

// read asks for history until the context ends, each time another way, reads the
// answers slowly, and comes again when it is told to.
func (m *meetings) read(ctx context.Context, t *tenant, n int) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	a := t.agents[n%len(t.agents)]
	paths := []string{"/api/v1/audit/verify", "/api/v1/audit/state/" + a.id, "/api/v1/audit?limit=100"}
	for ; ctx.Err() == nil; n++ {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.base+paths[n%len(paths)], nil)
		if err != nil {
			m.met(0, 0, err)
			return
		}
		request.Header.Set("Authorization", "Bearer "+a.token)
		begin := time.Now()
		response, err := transport.RoundTrip(request)
		if err != nil {
			if ctx.Err() == nil {
				m.met(0, 0, err)
			}
			return
		}
		took := time.Since(begin)
		text := readSlowly(ctx, response.Body)
		switch response.StatusCode {
		case http.StatusOK:
			m.met(response.StatusCode, took, nil)
		case http.StatusTooManyRequests, http.StatusServiceUnavailable:
			m.met(response.StatusCode, took, nil)
			if response.Header.Get("Retry-After") == "" {
				m.met(0, 0, fmt.Errorf("%s without Retry-After: %s", response.Status, text))
			}
			_ = wait.For(ctx, time.Second)
		default:
			m.met(0, 0, fmt.Errorf("%s: %s %s", request.URL.Path, response.Status, text))
			return
		}
	}
}

func readSlowly(ctx context.Context, body io.ReadCloser) (text []byte) {
	defer body.Close()
	const part, each = 64 << 10, 80 * time.Millisecond // not smaller: 500 readers that wake often keep the processors from the server
	for buffer := make([]byte, part); ; _ = wait.For(ctx, each) {
		n, err := body.Read(buffer)
		text = append(text, buffer[:min(n, max(0, part-len(text)))]...)
		if err != nil {
			return text
		}
	}
}
