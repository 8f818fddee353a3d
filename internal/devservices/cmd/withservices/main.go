// Command withservices runs a command with a private PostgreSQL and Redis that last as long as it does:
//
//	go run ./internal/devservices/cmd/withservices -- go test ./...
//
// The command finds them in AGENTIDP_TEST_DATABASE_URL (a superuser's) and AGENTIDP_TEST_REDIS_URL. The data is volatile and
// removed in the end. The exit code is the command's own, or 2 when it could not be run.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/sentryagent/agentidp/internal/devservices"
)

const exitNotRun = 2

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(stderr, "usage: withservices [--] command [argument …]")
		return exitNotRun
	}
	// A signal ends the command, not this process: what it started must be stopped in order.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)

	dir, err := devservices.TempDir()
	if err != nil {
		fmt.Fprintln(stderr, "withservices:", err)
		return exitNotRun
	}
	defer os.RemoveAll(dir)
	services, err := devservices.Start(context.Background(), devservices.Options{
		Dir:      dir,
		Volatile: true,
		Progress: func(line string) { fmt.Fprintln(stderr, "withservices:", line) },
	})
	if err != nil {
		fmt.Fprintln(stderr, "withservices:", err)
		return exitNotRun
	}
	defer func() {
		if err := services.Stop(context.Background()); err != nil {
			fmt.Fprintln(stderr, "withservices:", err)
		}
	}()

	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	cmd.Env = append(os.Environ(),
		"AGENTIDP_TEST_DATABASE_URL="+services.SuperuserURL,
		"AGENTIDP_TEST_REDIS_URL="+services.RedisURL)
	if err := supervise(cmd, signals); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() >= 0 {
			return exit.ExitCode()
		}
		fmt.Fprintln(stderr, "withservices:", err)
		return exitNotRun
	}
	return 0
}

// supervise runs cmd to its end and passes signals on to it.
func supervise(cmd *exec.Cmd, signals <-chan os.Signal) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			return err
		case s := <-signals:
			_ = cmd.Process.Signal(s) // it may have ended meanwhile
		}
	}
}
