package devservices_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"runtime"
	"testing"

	"github.com/sentryagent/agentidp/internal/devservices"
)

// childDir names the directory in which this test binary, run as a child, starts services and waits to be killed.
const childDir = "AGENTIDP_DEVSERVICES_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		services, err := devservices.Start(context.Background(), devservices.Options{Dir: dir})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(services.OwnerDatabaseURL)
		_, _ = io.Copy(io.Discard, os.Stdin) // until killed, or the test is gone
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestKilledParentTakesItsServicesAlongAndLosesNothing(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends children with their parent")
	}
	dir := reachableDir(t)
	child := osexec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir)
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	url, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, url[:len(url)-1], `CREATE TABLE kept (n int)`)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // killed, as asked

	s := start(t, devservices.Options{Dir: dir})
	mustExec(t, s.OwnerDatabaseURL, `INSERT INTO kept VALUES (1)`)
	if got := s.OwnerDatabaseURL + "\n"; got != url {
		t.Error("the port changed: the killed parent's PostgreSQL still had it")
	}
}
