package devservices

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const redisDatabases = 1024 // tests take one each

type redisServer struct {
	program  string
	dir      string
	place    place
	password string
	port     int
	process  *process
}

func newRedis(programs programs, place place, state *state) *redisServer {
	return &redisServer{
		program:  programs.redis,
		dir:      filepath.Join(place.dir, "redis"),
		place:    place,
		password: state.RedisPassword,
		port:     state.RedisPort,
	}
}

func (r *redisServer) url() string {
	return fmt.Sprintf("redis://:%s@127.0.0.1:%d/0", r.password, r.port)
}

// start starts an empty Redis on r.port and returns when it answers. Its settings go through standard input: a command
// line can be read by everyone.
func (r *redisServer) start(ctx context.Context) error {
	if r.process != nil {
		return errors.New("it runs already")
	}
	if err := r.place.mkdir(r.dir); err != nil {
		return err
	}
	log := filepath.Join(r.dir, "redis.log")
	if err := os.Remove(log); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	cmd := exec.Command(r.program, "-")
	cmd.Dir = r.dir
	cmd.Stdin = strings.NewReader(strings.Join([]string{
		"bind 127.0.0.1",
		fmt.Sprint("port ", r.port),
		"requirepass " + r.password,
		fmt.Sprint("databases ", redisDatabases),
		`save ""`,
		"appendonly no",
		`logfile "redis.log"`,
	}, "\n"))
	process, err := startProcess(cmd, r.place.account, syscall.SIGTERM)
	if err != nil {
		return err
	}
	r.process = process
	if err := process.await(ctx, 20*time.Second, r.ping); err != nil {
		_ = r.stop(ctx)
		lines := lastLines(log, 10)
		if strings.Contains(lines, "Address already in use") {
			err = errors.Join(errPortTaken, err)
		}
		return fmt.Errorf("%w\n%s", err, lines)
	}
	return nil
}

// ping speaks the protocol itself: a client library would log every refused connection while Redis starts.
func (r *redisServer) ping(ctx context.Context) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp4", fmt.Sprintf("127.0.0.1:%d", r.port))
	if err != nil {
		return err
	}
	defer conn.Close()
	const want = "+OK\r\n+PONG\r\n"
	got := make([]byte, len(want))
	err = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if err == nil {
		_, err = fmt.Fprintf(conn, "AUTH %s\r\nPING\r\n", r.password)
	}
	if err == nil {
		_, err = io.ReadFull(conn, got)
	}
	if err == nil && string(got) != want {
		err = fmt.Errorf("got the answer %q", got)
	}
	return err
}

func (r *redisServer) stop(ctx context.Context) error {
	if r.process == nil {
		return nil
	}
	err := r.process.stop(ctx, patience{syscall.SIGTERM, 5 * time.Second})
	r.process = nil
	return err
}
