package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/wait"
	"github.com/sentryagent/agentidp/server"
)

// serveProfiled is the serve command with a profiler: a line with a path
// starts a CPU profile, an empty line ends it. Each is answered with a line.
func serveProfiled(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	settings, err := config.Load(os.Environ(), "")
	if err != nil {
		return err
	}
	s, err := server.Start(ctx, settings, "bench", slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	go func() {
		var file *os.File
		for lines := bufio.NewScanner(stdin); lines.Scan(); {
			var err error
			if path := lines.Text(); path == "" {
				pprof.StopCPUProfile()
				err = file.Close()
			} else if file, err = os.Create(path); err == nil {
				err = pprof.StartCPUProfile(file)
			}
			fmt.Fprintln(stdout, "done", err)
		}
	}()
	return s.Run(ctx)
}

// profiled is sendInTurns; the server writes a CPU profile meanwhile, where
// profiles are wanted.
func (b *bench) profiled(ctx context.Context, s *node, name string, l load, other func() (float64, error)) (sample, float64, error) {
	if b.profile == "" {
		return b.sendInTurns(ctx, l, other)
	}
	dir, err := filepath.Abs(b.profile)
	if err != nil {
		return sample{}, 0, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return sample{}, 0, err
	}
	answers := bufio.NewReader(s.stdout)
	tell := func(line string) {
		_, _ = fmt.Fprintln(s.stdin, line)
		answer, _ := answers.ReadString('\n')
		if answer = strings.TrimSpace(answer); answer != "done <nil>" {
			b.say("profile " + name + ": " + answer)
		}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = wait.For(ctx, b.warmUp)
		tell(filepath.Join(dir, name+".pprof"))
		const margin = 100 * time.Millisecond
		_ = wait.For(ctx, b.duration-margin)
		tell("")
	}()
	taken, beside, err := b.sendInTurns(ctx, l, other)
	<-ended
	return taken, beside, err
}
