package system_test

import (
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/test/chaos"
)

// chaosNode is a server that is started again whenever it ends, as whoever runs
// servers does, and that reaches its services through proxies. It is a
// [chaos.Node].
type chaosNode struct {
	tb       testing.TB
	world    *world
	port     int
	settings []string // beside the world's
	running  sync.WaitGroup
	up       chan struct{} // tells the supervisor that a killed node may start again

	database, redis, eventStore chaos.Line // the latter is nil where the ledger is in the database

	mu      sync.Mutex // guards what follows
	process *process
	killed  *process // the last that was
	down    bool     // not to be started
	ended   bool     // for good
}

// reachThroughProxies has the node reach its services through proxies.
func (n *chaosNode) reachThroughProxies() {
	n.tb.Helper()
	n.database, n.redis = n.proxied("DATABASE_URL"), n.proxied("REDIS_URL")
	if n.world.eventStore == nil {
		return
	}
	view, err := n.world.eventStore.NewView()
	if err != nil {
		n.tb.Fatal(err)
	}
	n.eventStore = n.line(view.Addresses()...)
	view.Advertise(n.eventStore.Addresses())
	n.settings = append(n.settings, "ESDB_URL="+view.URL())
}

// proxied has the node reach the service that a setting names through a proxy.
func (n *chaosNode) proxied(setting string) chaos.Line {
	n.tb.Helper()
	service, err := url.Parse(n.world.setting(setting))
	if err != nil {
		n.tb.Fatal(err)
	}
	line := n.line(service.Host)
	service.Host = line.Addresses()[0]
	n.settings = append(n.settings, setting+"="+service.String())
	return line
}

func (n *chaosNode) line(targets ...string) (line chaos.Line) {
	n.tb.Helper()
	for _, target := range targets {
		proxy, err := chaos.NewProxy(n.tb.Context(), target)
		if err != nil {
			n.tb.Fatal(err)
		}
		n.tb.Cleanup(proxy.Close)
		line = append(line, proxy)
	}
	return line
}

func (n *chaosNode) base() string { return "http://127.0.0.1:" + strconv.Itoa(n.port) }

// supervise runs the server again and again. One that was cut off from its
// database while it started ends by itself; one that has served does not.
func (n *chaosNode) supervise() {
	const again = 200 * time.Millisecond
	for {
		s := n.world.launchServer(n.tb, n.port, n.settings...)
		n.mu.Lock()
		n.process = s.process
		if n.down || n.ended {
			n.strike()
		}
		n.mu.Unlock()
		<-s.done
		n.mu.Lock()
		killed, ended := n.killed == s.process, n.ended || n.tb.Context().Err() != nil
		n.mu.Unlock()
		switch {
		case ended:
			return
		case killed:
			<-n.up
		case strings.Contains(s.stderr.String(), `"msg":"serving"`):
			n.tb.Errorf("a node ended by itself with code %d:\n%s", s.cmd.ProcessState.ExitCode(), lastLines(s.stderr.String()))
		default:
			time.Sleep(again)
		}
	}
}

// strike kills the process there is. The caller holds mu.
func (n *chaosNode) strike() {
	if n.process != nil {
		n.killed = n.process
		_ = n.process.cmd.Process.Kill() // it may have ended
		<-n.process.done
	}
}

func (n *chaosNode) Kill() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = true
	n.strike()
}

func (n *chaosNode) Restart() {
	n.mu.Lock()
	n.down = false
	n.mu.Unlock()
	n.wake()
}

func (n *chaosNode) wake() {
	select {
	case n.up <- struct{}{}:
	default: // it is not waiting and will not
	}
}

func (n *chaosNode) Freeze() { n.send(syscall.SIGSTOP) }
func (n *chaosNode) Thaw()   { n.send(syscall.SIGCONT) }

func (n *chaosNode) send(s syscall.Signal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process != nil {
		_ = n.process.cmd.Process.Signal(s) // it may have ended
	}
}

// terminate ends the node as an operator would, and gives its exit code.
func (n *chaosNode) terminate(tb testing.TB) int {
	tb.Helper()
	n.mu.Lock()
	n.ended = true
	p := n.process
	n.mu.Unlock()
	p.signal(tb, syscall.SIGTERM)
	r := p.wait(tb, patience)
	if r.code != exitOK {
		tb.Logf("it said in the end:\n%s", lastLines(r.stderr))
	}
	return r.code
}

// end kills the node for good, if it runs.
func (n *chaosNode) end() {
	n.mu.Lock()
	n.ended = true
	n.strike()
	n.mu.Unlock()
	n.wake()
	n.running.Wait()
}

// lastLines are those of a log that say how it ended.
func lastLines(log string) string {
	const most = 15
	lines := strings.Split(strings.TrimSpace(log), "\n")
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}
