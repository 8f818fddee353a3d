package main

import (
	"bytes"
	"context"
	"os"
	"slices"
	"time"

	"github.com/sentryagent/agentidp/internal/wait"
)

// esdbDrops measures tokens while the server drops the live subscription a
// hundred times a minute, beside the same without.
func (b *bench) esdbDrops(ctx context.Context, e *engines) error {
	const every = 600 * time.Millisecond
	load := b.tokenLoad(e.esdb, e.esdbs, clients, agents)
	var with, without []sample
	var longest, longestWithout []float64
	for range stretches {
		m, err := b.send(ctx, load, b.warmUp/4, b.duration/2)
		if err != nil {
			return err
		}
		without, longestWithout = append(without, summarize(m)), append(longestWithout, milliseconds(slices.Max(m.took)))
		dropping, stop := context.WithCancel(ctx)
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			for dropping.Err() == nil {
				e.cluster.Model().DropReaders()
				_ = wait.For(dropping, every)
			}
		}()
		m, err = b.send(ctx, load, b.warmUp/4, b.duration/2)
		stop()
		<-stopped
		if err != nil {
			return err
		}
		with, longest = append(with, summarize(m)), append(longest, milliseconds(slices.Max(m.took)))
	}
	slices.Sort(longest)
	slices.Sort(longestWithout)
	got, beside := middle(with), middle(without)
	b.add(row{Name: "token ES256, EventStoreDB, tail dropped 100 times a minute", Value: got.rate, Unit: "/s", Latency: &got.latency,
		Baseline: "not dropped", Beside: beside.rate, Target: &target{Ratio: 0.9}})
	b.add(row{Name: "  the longest of a stretch, median", Value: longest[len(longest)/2], Unit: "ms",
		Baseline: "not dropped", Beside: longestWithout[len(longestWithout)/2], Target: &target{Under: 250}})
	lines, err := linesAboveInfo(e.esdb.log.Name())
	if err != nil {
		return err
	}
	b.add(row{Name: "  lines above INFO in the server's log", Value: float64(len(lines)), Unit: "lines", Target: &target{Under: 0.5}})
	for _, line := range lines[:min(len(lines), 5)] {
		b.say(string(line))
	}
	return nil
}

func linesAboveInfo(path string) (lines [][]byte, err error) {
	log, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(log) {
		if bytes.Contains(line, []byte(`"level":"WARN"`)) || bytes.Contains(line, []byte(`"level":"ERROR"`)) {
			lines = append(lines, bytes.TrimSpace(line))
		}
	}
	return lines, nil
}
