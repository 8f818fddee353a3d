package main

import (
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections"
)

// meterInterval is how often a meter without a terminal says something.
const meterInterval = 5 * time.Second

// meter shows how far work on read models is: a bar on a terminal, else a line
// in the log every few seconds.
type meter struct {
	work string
	bar  *progressbar.ProgressBar // nil: there is no terminal
	log  *slog.Logger

	mu     sync.Mutex // guards what follows
	states map[string]projections.RebuildState
	begun  time.Time
	first  eventstore.Position // where it has begun
	said   time.Time
}

func newMeter(stderr io.Writer, logger *slog.Logger, work string, chosen []projections.Projection) *meter {
	m := &meter{work: work, bar: newBar(stderr, work, 1), log: logger, states: make(map[string]projections.RebuildState, len(chosen))}
	for _, p := range chosen {
		m.states[p.Name] = projections.RebuildState{Projection: p.Name}
	}
	return m
}

// logger is where the work may log: nowhere beside a bar.
func (m *meter) logger() *slog.Logger {
	if m.bar != nil {
		return slog.New(slog.DiscardHandler)
	}
	return m.log
}

// report takes where one of the read models is.
func (m *meter) report(state projections.RebuildState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.states[state.Projection] = state
	slowest := state
	for _, s := range m.states {
		if s.Head > 0 && s.Position < slowest.Position { // else nothing is known of it yet
			slowest = s
		}
	}
	if slowest.Head == 0 {
		return // the ledger is empty
	}
	now := time.Now()
	if m.begun.IsZero() {
		m.begun, m.said, m.first = now, now, slowest.Position
	}
	if m.bar != nil {
		m.bar.ChangeMax64(max(int64(slowest.Head-m.first), 1))
		m.bar.Describe(fmt.Sprintf("%s, %s", m.work, slowest.Stage))
		_ = m.bar.Set64(int64(slowest.Position - m.first)) // the terminal may be gone
		return
	}
	if now.Sub(m.said) < meterInterval {
		return
	}
	m.said = now
	rate := float64(slowest.Position-m.first) / now.Sub(m.begun).Seconds()
	attrs := []any{"stage", slowest.Stage, "projection", slowest.Projection, "position", slowest.Position, "head", slowest.Head,
		"percent", 100 * slowest.Position / slowest.Head, "eventsPerSecond", int64(rate)}
	if rate > 0 {
		left := time.Duration(float64(slowest.Head-slowest.Position) / rate * float64(time.Second))
		attrs = append(attrs, "left", left.Round(time.Second).String())
	}
	m.log.Info(m.work, attrs...)
}

// end takes the bar away.
func (m *meter) end() {
	if m.bar != nil {
		_ = m.bar.Clear() // as above
	}
}
