package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// outcome is what came of a step.
type outcome struct {
	step                    step
	passed, failed, skipped int // tests, those with parts by their parts
	reasons                 []string
	broken                  string // why the tests did not run to their end
	took                    time.Duration
}

// all takes one step after another: each is to have the machine for itself.
func all(ctx context.Context, out io.Writer, steps []step, environ []string) (found []outcome, err error) {
	seed := os.Getenv("QUALIFY_SEED")
	for _, s := range steps {
		if s.sample > 0 {
			if s.tests, err = sampleOf(ctx, s.packages[0], s.sample, seed); err != nil {
				return nil, err
			}
		}
		fmt.Fprintf(out, "\n=== %s\n", s.name)
		begin := time.Now()
		o := test(ctx, out, s, environ)
		o.took = time.Since(begin)
		found = append(found, o)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return found, nil
}

func test(ctx context.Context, out io.Writer, s step, environ []string) outcome {
	command := exec.CommandContext(ctx, "go", append([]string{"test", "-json", "-count=1", "-timeout", "0", "-run", s.tests}, s.packages...)...)
	command.Env = slices.Concat(environ, s.settings)
	command.Stderr = out
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) } // it ends what it has started
	command.WaitDelay = 30 * time.Second
	lines, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	o := outcome{step: s}
	if err != nil {
		o.broken = err.Error()
		return o
	}
	o.read(lines, out)
	if err := command.Wait(); err != nil && o.failed == 0 {
		o.broken = "go test: " + err.Error()
	}
	return o
}

// event is what go test says of a test.
type event struct {
	Action, Package, Test, Output string
}

// read counts, and passes on what failed tests said, and what whole ones sum up.
func (o *outcome) read(lines io.Reader, out io.Writer) {
	said := map[string][]string{} // by test
	parts := map[string]bool{}    // tests with parts
	in := bufio.NewReader(lines)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil {
				fmt.Fprint(out, line) // a compiler
			} else {
				o.take(e, said, parts, out)
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				o.broken = err.Error()
			}
			return
		}
	}
}

func (o *outcome) take(e event, said map[string][]string, parts map[string]bool, out io.Writer) {
	if e.Test == "" {
		if e.Action == "output" && !strings.HasPrefix(e.Output, "ok ") && e.Output != "PASS\n" && e.Output != "FAIL\n" {
			fmt.Fprint(out, e.Output)
		}
		return
	}
	if above := strings.LastIndexByte(e.Test, '/'); above > 0 {
		parts[e.Test[:above]] = true
	}
	switch e.Action {
	case "output":
		if !strings.HasPrefix(strings.TrimSpace(e.Output), "=== ") && !strings.HasPrefix(strings.TrimSpace(e.Output), "--- ") {
			said[e.Test] = append(said[e.Test], e.Output)
		}
		return
	case "pass", "fail", "skip":
	default:
		return
	}
	told := strings.Join(said[e.Test], "")
	delete(said, e.Test)
	switch {
	case e.Action == "fail":
		fmt.Fprintf(out, "--- FAILED: %s\n%s", e.Test, told)
		if !parts[e.Test] {
			o.failed++
		}
	case e.Action == "skip":
		o.skipped++
		o.reasons = append(o.reasons, reasonOf(told))
	case !parts[e.Test]:
		o.passed++
		fmt.Fprint(out, told)
	}
}

// reasonOf is what a skipped test said last.
func reasonOf(told string) string {
	lines := strings.Split(strings.TrimSpace(told), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	if _, reason, cut := strings.Cut(last, ".go:"); cut { // file:line: reason
		if _, reason, cut = strings.Cut(reason, ": "); cut {
			return reason
		}
	}
	return last
}
