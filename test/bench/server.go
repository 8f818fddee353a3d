package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/sentryagent/agentidp/internal/config"
)

// ledgerAt says where a ledger is: in the database of the private services, in
// another one beside it, or on an EventStoreDB, with its read models in a database.
type ledgerAt struct {
	databaseURL, ownerURL string
	esdbURL               string // "": the ledger is in the database
}

func (b *bench) ownLedger() ledgerAt {
	return ledgerAt{databaseURL: b.services.DatabaseURL, ownerURL: b.services.OwnerDatabaseURL}
}

// environ is what a server on a ledger is told.
func (b *bench) environ(at ledgerAt, port int, alg string) []string {
	environ := []string{
		"DATABASE_URL=" + at.databaseURL,
		"MIGRATE_DATABASE_URL=" + at.ownerURL,
		"REDIS_URL=" + b.services.RedisURL,
		"MASTER_KEY_FILE=" + filepath.Join(b.dir, "master.key"),
		"CHECKPOINT_FILE=" + filepath.Join(b.dir, "checkpoints-"+path.Base(at.databaseURL)), // another ledger knows nothing of this one
		"LISTEN_HOST=127.0.0.1",
		"METRICS_PORT=0",
		"RATE_LIMIT_MAX_REQUESTS=0", // a load would meet nothing else
		"TIER_ENFORCEMENT=false",
		"PORT=" + strconv.Itoa(port),
		"PUBLIC_URL=http://localhost:3000", // servers on one ledger agree on it
		"JWT_SIGNING_ALG=" + alg,
	}
	if at.esdbURL != "" {
		environ = append(environ, "EVENTSTORE="+config.EventStoreESDB, "ESDB_URL="+at.esdbURL)
	}
	return environ
}

func (b *bench) config(at ledgerAt) (config.Config, error) {
	const anyPort = 3000
	return config.Load(b.environ(at, anyPort, config.AlgES256), "")
}

// node is the product, running as a process of its own.
type node struct {
	address string
	cmd     *exec.Cmd
	stdin   io.WriteCloser // of a profiled server
	stdout  io.Reader
	log     *os.File
	ended   chan error
}

// startServer starts one on a ledger; settings win against the environment that
// all of them have.
func (b *bench) startServer(ctx context.Context, at ledgerAt, alg string, settings ...string) (*node, error) {
	if b.profile != "" {
		return b.startSelf(ctx, at, alg, settings, modeProfiled)
	}
	return b.start(ctx, at, alg, settings, b.program, "serve")
}

// startSelf starts this program as a server that is not quite the product.
func (b *bench) startSelf(ctx context.Context, at ledgerAt, alg string, settings []string, args ...string) (*node, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return b.start(ctx, at, alg, settings, self, args...)
}

func (b *bench) start(ctx context.Context, at ledgerAt, alg string, settings []string, program string, args ...string) (_ *node, err error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	s := &node{address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), ended: make(chan error, 1)}
	if s.log, err = os.CreateTemp(b.dir, "server-*.log"); err != nil {
		return nil, err
	}
	s.cmd = exec.Command(program, args...)
	s.cmd.Dir = b.dir
	s.cmd.Env = append(append([]string{"PATH=" + os.Getenv("PATH")}, b.environ(at, port, alg)...), settings...)
	s.cmd.Stderr = s.log
	if slices.Contains(args, modeProfiled) {
		in, inErr := s.cmd.StdinPipe()
		out, outErr := s.cmd.StdoutPipe()
		if err := errors.Join(inErr, outErr); err != nil {
			return nil, err
		}
		s.stdin, s.stdout = in, out
	}
	s.cmd.SysProcAttr = inOwnGroup()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { s.ended <- s.cmd.Wait() }()
	if err := s.answers(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// inOwnGroup keeps a Ctrl-C at the terminal from the process: it is stopped by
// its parent, in order.
func inOwnGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// startPatience is long: a server may read its whole ledger before it answers.
const startPatience = 10 * time.Minute

func (s *node) answers(ctx context.Context) error {
	const recheck = 20 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+"/health", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("/health answers %s", response.Status)
		}
		select {
		case ended := <-s.ended:
			s.ended <- ended
			log, _ := os.ReadFile(s.log.Name())
			return fmt.Errorf("the server ended at once: %w\n%s", errors.Join(ended, err), log)
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(recheck):
		}
	}
}

func (s *node) stop() error {
	if s.cmd.Process == nil {
		return s.log.Close()
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	const patience = 20 * time.Second
	select {
	case err := <-s.ended:
		return errors.Join(err, s.log.Close())
	case <-time.After(patience):
		return errors.Join(errors.New("the server did not stop and was killed"), s.cmd.Process.Kill(), <-s.ended, s.log.Close())
	}
}

// residentMemory of a process in bytes, 0 where that cannot be told.
func residentMemory(pid int) float64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "statm"))
	if err != nil {
		return 0
	}
	var size, resident int
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0
	}
	return float64(resident * os.Getpagesize())
}

func freePort(ctx context.Context) (int, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	address, _ := listener.Addr().(*net.TCPAddr)
	return address.Port, listener.Close()
}
