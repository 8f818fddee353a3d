// Package system_test runs the product as its users do: the real programs, one or
// several servers on one database, and the faults that happen to machines. It looks
// at what they print, answer and leave behind.
package system_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/internal/rounds"
)

// The real binaries, built once for all tests; with the race detector where the tests
// run with it.
var (
	program    string // the product
	devProgram string // that starts everything, and tells the story
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "agentidp-program-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer os.RemoveAll(dir)
	_ = os.Setenv("GORACE", raceOptions) // for what shells start
	program, devProgram = filepath.Join(dir, "agentidp"), filepath.Join(dir, "agentidp-dev")
	build := exec.Command("go", "build", "-o", dir, "-race="+strconv.FormatBool(rounds.Race), "../../cmd/agentidp", "../../cmd/agentidp-dev")
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n%s", build, err, output)
		os.RemoveAll(dir)
		os.Exit(1)
	}
	pgtest.Main(m)
}

// Exit codes that the programs promise.
const (
	exitOK       = 0
	exitFailed   = 1
	exitBadUsage = 2 // wrong arguments or configuration, or what was asked could not be looked at
)

// patience bounds every wait for another process. What is waited for takes
// milliseconds; a machine that is busy with other things may take longer.
const patience = 60 * time.Second

func within(tb testing.TB, limit time.Duration) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), limit)
	tb.Cleanup(cancel)
	return ctx
}

// process is a run of the program.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr output
	done           chan struct{} // closed when it has ended
}

// raceOptions has the race detector not wait a second at the end of each process,
// as it does for what others might still report.
var raceOptions = strings.TrimSpace(os.Getenv("GORACE") + " atexit_sleep_ms=10")

// launch starts the program in a directory of its own, with the environment
// given and none of the test's but what finds other programs. It is killed
// when the test ends, if it has not ended by then.
func launch(tb testing.TB, environ []string, args ...string) *process {
	tb.Helper()
	return launchAs(tb, program, environ, args...)
}

// launchAs is launch of another program, such as an earlier one of ours.
func launchAs(tb testing.TB, program string, environ []string, args ...string) *process {
	tb.Helper()
	p := &process{cmd: exec.Command(program, args...), done: make(chan struct{})}
	p.cmd.Dir = tb.TempDir()
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.cmd.Dir, "GORACE=" + raceOptions}, environ...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	p.cmd.SysProcAttr = endsWithParent()
	started := make(chan error)
	go func() {
		// The parent whose death is signalled is a thread: this one has to stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // its exit code is what counts
		}
	}()
	if err := <-started; err != nil {
		tb.Fatalf("%s: %v", p.cmd, err)
	}
	tb.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.done
		if strings.Contains(p.stderr.String(), "WARNING: DATA RACE") {
			tb.Errorf("%s raced:\n%s", p.cmd, p.stderr.String())
		}
	})
	return p
}

// runToEnd runs the program to its end.
func runToEnd(tb testing.TB, environ []string, args ...string) result {
	tb.Helper()
	p := launch(tb, environ, args...)
	return p.wait(tb, patience)
}

// result is how a run of the program ended.
type result struct {
	code           int // -1 when a signal ended it
	stdout, stderr string
}

// lines are those of standard error.
func (r result) lines() []string {
	text := strings.TrimSuffix(r.stderr, "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

func (p *process) wait(tb testing.TB, limit time.Duration) result {
	tb.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		tb.Fatalf("%s has not ended after %s; standard error:\n%s", p.cmd, limit, p.stderr.String())
	}
	return result{code: p.cmd.ProcessState.ExitCode(), stdout: p.stdout.String(), stderr: p.stderr.String()}
}

func (p *process) signal(tb testing.TB, s syscall.Signal) {
	tb.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		tb.Fatalf("%s to %s: %v", s, p.cmd, err)
	}
}

// kill ends the process as a power cut would: it gets no chance to do anything.
func (p *process) kill(tb testing.TB) {
	tb.Helper()
	p.signal(tb, syscall.SIGKILL)
	p.wait(tb, patience)
}

// awaitOutput waits until one of the process's outputs has a text in it.
func (p *process) awaitOutput(tb testing.TB, o *output, text string) {
	tb.Helper()
	await(tb, fmt.Sprintf("%q from %s", text, p.cmd), func(context.Context) error {
		if strings.Contains(o.String(), text) {
			return nil
		}
		select {
		case <-p.done:
			tb.Fatalf("%s ended with code %d before it said %q:\n%s%s", p.cmd, p.cmd.ProcessState.ExitCode(), text, p.stdout.String(), p.stderr.String())
		default:
		}
		return fmt.Errorf("so far:\n%s", o.String())
	})
}

// await asks until the answer is nil, and fails the test with the last one
// when that takes too long.
func await(tb testing.TB, what string, ask func(context.Context) error) {
	tb.Helper()
	awaitWithin(tb, patience, what, ask)
}

func awaitWithin(tb testing.TB, limit time.Duration, what string, ask func(context.Context) error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), limit)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			tb.Fatalf("waited %s for %s: %v", limit, what, err)
		case <-tick.C:
		}
	}
}

// output gathers what a process writes.
type output struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
